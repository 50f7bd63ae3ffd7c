package machines

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/imgops/imgops/images/sandbox/imds"
)

// inNetns calls f on a thread that has joined the network namespace at path, and takes the thread back afterwards. A thread that does not come back
// ends with the goroutine, except the process's first one, which the runtime would keep in the other namespace: that would stay alive, and
// /proc/net, which shows the first thread's network, would lie.
func inNetns(path string, f func() error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		back, err := onThread(path, f)
		if back {
			runtime.UnlockOSThread()
		}
		result <- err
	}()
	return <-result
}

// onThread does it on this thread, and says whether the thread is where it was.
func onThread(path string, f func() error) (back bool, err error) {
	own, err := openNetns("/proc/thread-self/ns/net")
	if err != nil {
		return true, err
	}
	defer own.Close()
	other, err := openNetns(path)
	if err != nil {
		return true, err
	}
	defer other.Close()
	if err := unix.Setns(int(other.Fd()), unix.CLONE_NEWNET); err != nil {
		return true, fmt.Errorf("joining the network namespace %s: %w", path, err)
	}
	err = f()
	if left := unix.Setns(int(own.Fd()), unix.CLONE_NEWNET); left != nil {
		return false, errors.Join(err, fmt.Errorf("leaving the network namespace %s: %w", path, left))
	}
	return true, err
}

func openNetns(path string) (*os.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("opening the network namespace: %w", err)
	}
	return f, nil
}

// serveMetadata answers on the metadata address of the router's namespace. A socket stays in the namespace where it was made.
func serveMetadata(n *network, h http.Handler, log *slog.Logger) (*http.Server, error) {
	var l net.Listener
	err := inNetns(netnsPath(n.Namespace), func() (err error) {
		l, err = net.Listen("tcp4", metadataAddr+":80")
		return err
	})
	if err != nil {
		return nil, err
	}
	server := &http.Server{
		Handler: h, ConnContext: imds.ConnContext, ReadHeaderTimeout: 10 * time.Second,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	go func() { _ = server.Serve(l) }() // ends by Close
	return server, nil
}

// machineBatches are the two scripts for ip that plug a machine into the sandbox's network: one for the router's namespace, one for the machine's.
func (n *network) machineBatches(m Machine, namespace string) (router, own string) {
	port := portName(m)
	router = fmt.Sprintf("link add %[1]s mtu %[2]d type veth peer name %[3]s mtu %[2]d address %[4]s netns %[5]s\nlink set %[1]s master br0 up\n",
		port, mtu, machineLink, MAC(m.Address), namespace)
	own = fmt.Sprintf("link set lo up\naddr add %s/%d dev %[3]s\nlink set %[3]s up\nroute add default via %[4]s\n",
		m.Address, n.Prefix.Bits(), machineLink, gateway(n.Prefix))
	return router, own
}

// machineLink is the name of the first network interface on Debian's Nitro instances.
const machineLink = "ens5"

func portName(m Machine) string {
	a := m.Address.As4()
	return fmt.Sprintf("m%02x%02x%02x%02x", a[0], a[1], a[2], a[3])
}
