package machines

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/imgops/imgops/images/sandbox/imds"
)

// inNetns calls f on a thread that has joined the network namespace at path. The thread is not given back to the runtime:
// it ends with the goroutine.
func inNetns(path string, f func() error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		result <- func() error {
			fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
			if err != nil {
				return fmt.Errorf("opening the network namespace %s: %w", path, err)
			}
			defer unix.Close(fd)
			if err := unix.Setns(fd, unix.CLONE_NEWNET); err != nil {
				return fmt.Errorf("joining the network namespace %s: %w", path, err)
			}
			return f()
		}()
	}()
	return <-result
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
