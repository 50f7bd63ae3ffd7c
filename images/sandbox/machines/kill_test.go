package machines

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// serverEnv makes the test binary a server that starts one machine and is then killed.
const serverEnv = "IMGOPS_TEST_SERVER"

type serverJob struct {
	Dir     string
	QEMU    bool
	Machine Machine
}

func (j serverJob) open(ctx context.Context) (Driver, error) {
	if j.QEMU {
		return NewQEMU(ctx, QEMUOptions{Options: Options{Dir: j.Dir}, Pipe: testPipe()})
	}
	return NewNspawn(ctx, Options{Dir: j.Dir})
}

func TestMain(m *testing.M) {
	if job := os.Getenv(serverEnv); job != "" {
		os.Exit(serve(job))
	}
	if len(os.Args) == 4 && os.Args[1] == pipeArg {
		if err := Pipe(context.Background(), os.Args[2], os.Args[3], os.Stdin, os.Stdout); err != nil {
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func serve(text string) int {
	var job serverJob
	if err := json.Unmarshal([]byte(text), &job); err != nil {
		return 1
	}
	_, _ = os.Stdout.WriteString("starting\n")
	d, err := job.open(context.Background())
	if err != nil {
		_, _ = os.Stderr.WriteString(err.Error() + "\n")
		return 1
	}
	if err := d.Start(context.Background(), job.Machine); err != nil {
		_, _ = os.Stderr.WriteString(err.Error() + "\n")
		return 1
	}
	_, _ = os.Stdout.WriteString("started\n")
	select {} // until it is killed
}

// killedServer runs a server in another process and kills it some time after it says word.
func (l *lab) killedServer(m Machine, word string, after time.Duration) {
	l.t.Helper()
	require.NoError(l.t, l.driver.Close())
	job, err := json.Marshal(serverJob{Dir: l.driver.common().dir, QEMU: l.driver.Name() == "qemu", Machine: m})
	require.NoError(l.t, err)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), serverEnv+"="+string(job))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	require.NoError(l.t, err)
	require.NoError(l.t, cmd.Start())
	said := bufio.NewScanner(out)
	for said.Scan() && said.Text() != word {
	}
	require.Equal(l.t, word, said.Text())
	<-time.After(after)
	require.NoError(l.t, cmd.Process.Kill())
	_ = cmd.Wait()
}

func TestServerKilled(t *testing.T) {
	l := newLab(t)
	m := l.machine(1, l.baseDisk("disk"), "")
	l.killedServer(m, "started", 0)
	prefix := l.driver.Prefix()
	l.driver = l.open()
	require.Equal(t, prefix, l.driver.Prefix())
	running, err := l.driver.Running(t.Context())
	require.NoError(t, err)
	require.Equal(t, []string{m.ID}, running)
	c := l.login(m) // which needs the metadata service
	cloudInitDone(t, c)

	// Now without a server: the machine ends meanwhile.
	require.NoError(t, l.driver.Close())
	sh(t, c, "sudo systemd-run --on-active=0 systemctl poweroff")
	require.NoError(t, poll(t.Context(), "the machine's end", func() (bool, error) { return len(findProcesses(l.driver.common().file(m.ID, ".root"))) == 0, nil }))
	l.driver = l.open()
	awaitExit(t, l.driver, m.ID)
}

// A server killed at any moment of a start leaves a machine that runs, or nothing, and in both cases Down leaves nothing.
func TestServerKilledWhileStarting(t *testing.T) {
	l := newLab(t)
	m := l.machine(1, l.baseDisk("disk"), "")
	m.Volumes = []Volume{l.volume(1, "/dev/sdf"), l.volume(2, "/dev/sdg")}
	before := l.footprint()
	for after := time.Duration(0); after <= 250*time.Millisecond; after += 25 * time.Millisecond {
		require.NoError(t, l.driver.Down(t.Context()))
		l.killedServer(m, "starting", after)
		l.driver = l.open()
		running, err := l.driver.Running(t.Context())
		require.NoError(t, err)
		if len(running) == 0 {
			require.Equal(t, before, l.footprint(), "killed after %v", after)
		}
	}
}
