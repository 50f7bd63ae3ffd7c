package main

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images/sandbox/machines"
)

// Instances that were running when the sandbox was taken down run again after up, with the disk and the address that they had; stopped ones stay stopped.
func TestDownAndUp(t *testing.T) {
	if testing.Short() {
		t.Skip("boots real machines; run without -short")
	}
	w := newRealWorld(t)
	w.sandboxUp(t, "nspawn")
	runs, rests := w.launch(t), w.launch(t)
	w.settled(t)
	w.stop(t, rests)
	w.settled(t)
	address := *w.byID(t, runs).PrivateIpAddress
	for _, kill := range []bool{false, true} {
		if kill {
			w.kill(t)
		}
		_, errs := w.imgops(t, w.dir, "sandbox", "down", "--name", w.sandbox)
		require.Contains(t, errs, "instances that were running: 1")
		_, errs = w.imgops(t, w.dir, "sandbox", "down", "--name", w.sandbox)
		require.Contains(t, errs, "instances that were running: 1", "it is not forgotten by a second down")
		w.imgops(t, w.dir, "sandbox", "up", "--name", w.sandbox, "--machines", "nspawn")
		w.settled(t)
		require.Equal(t, types.InstanceStateNameRunning, w.byID(t, runs).State.Name)
		require.Equal(t, address, *w.byID(t, runs).PrivateIpAddress)
		require.Equal(t, types.InstanceStateNameStopped, w.byID(t, rests).State.Name)
		require.NoFileExists(t, filepath.Join(w.dir, "state", "imgops", "sandbox", w.sandbox, "down.json"))
	}
	w.requireNoTrace(t, "reset")
}

func (w *realWorld) byID(t *testing.T, id string) types.Instance {
	t.Helper()
	for _, i := range w.instances(t) {
		if *i.InstanceId == id {
			return i
		}
	}
	require.Fail(t, "no instance "+id)
	return types.Instance{}
}

// newQEMUWorld skips where qemu machines cannot run.
func newQEMUWorld(t *testing.T) *realWorld {
	t.Helper()
	if testing.Short() {
		t.Skip("starts virtual machines; run without -short")
	}
	if err := machines.ProbeQEMU(); err != nil {
		t.Skipf("qemu machines cannot run here: %v", err)
	}
	w := newMachinelessWorld(t)
	w.patience = 10 * time.Minute // for emulated machines on a busy computer
	return w
}

// onRequest skips what boots virtual machines to the end.
func onRequest(t *testing.T) {
	t.Helper()
	if os.Getenv("IMGOPS_TEST_QEMU") == "" {
		t.Skip("boots virtual machines, for minutes where they are emulated; set IMGOPS_TEST_QEMU=1")
	}
}

// A server with qemu machines is killed: the next one finds them, which have not noticed. A machine that ends while there is no server is reported stopped,
// and a sandbox beside it is not touched. The machines are not waited for, so this is quick also where they are emulated.
func TestQEMUServerKilled(t *testing.T) {
	w := newQEMUWorld(t)
	w.sandboxUp(t, "qemu")
	neighbour := &realWorld{dir: w.dir, binary: w.binary, sandbox: w.sandbox + "-b", env: w.env, patience: w.patience}
	neighbour.sandboxUp(t, "qemu")
	beside := neighbour.launch(t)
	neighbour.awaitState(t, beside, types.InstanceStateNameRunning)

	kept, lost := w.launch(t), w.launch(t)
	w.awaitState(t, kept, types.InstanceStateNameRunning)
	w.awaitState(t, lost, types.InstanceStateNameRunning)
	pid := w.qemuPID(t, kept)
	w.kill(t)
	w.killProcess(t, w.qemuPID(t, lost))
	w.imgops(t, w.dir, "sandbox", "up", "--name", w.sandbox, "--machines", "qemu")
	require.Equal(t, pid, w.qemuPID(t, kept), "the very same")
	require.Equal(t, types.InstanceStateNameRunning, w.byID(t, kept).State.Name)
	w.awaitState(t, lost, types.InstanceStateNameStopped)
	require.Equal(t, "Server.InternalError", *w.byID(t, lost).StateReason.Code)
	w.start(t, lost)
	w.awaitState(t, lost, types.InstanceStateNameRunning)
	starting := w.launch(t)
	w.kill(t)
	w.imgops(t, w.dir, "sandbox", "up", "--name", w.sandbox, "--machines", "qemu")
	w.awaitState(t, starting, types.InstanceStateNameRunning)

	w.terminate(t, lost)
	w.awaitState(t, lost, types.InstanceStateNameTerminated)
	w.kill(t)
	w.requireNoTrace(t, "reset") // which has no need to wait for the machines
	require.Equal(t, types.InstanceStateNameRunning, neighbour.byID(t, beside).State.Name)
	require.Positive(t, neighbour.qemuPID(t, beside))
	neighbour.requireNoTrace(t, "reset")
}

// The addresses of a sandbox that another program has taken: the error says so, and the sandbox can still be taken down.
func TestQEMUAddressesTaken(t *testing.T) {
	w := newQEMUWorld(t)
	w.sandboxUp(t, "qemu")
	out, _ := w.imgops(t, w.dir, "sandbox", "status", "--name", w.sandbox, "-o", "json")
	_, network, err := net.ParseCIDR(decode[struct{ Network string }](t, out).Network)
	require.NoError(t, err)
	w.imgops(t, w.dir, "sandbox", "down", "--name", w.sandbox)
	gateway := slices.Clone(network.IP.To4())
	gateway[3]++
	var lc net.ListenConfig
	l, err := lc.Listen(t.Context(), "tcp4", gateway.String()+":16925")
	require.NoError(t, err)
	defer l.Close()
	code, _, errs := w.try(t, w.dir, "sandbox", "up", "--name", w.sandbox, "--machines", "qemu")
	require.Equal(t, exitError, code)
	require.Contains(t, errs, "another sandbox has taken the addresses "+network.String())
	w.imgops(t, w.dir, "sandbox", "reset", "--name", w.sandbox)
	w.imgops(t, w.dir, "sandbox", "up", "--name", w.sandbox, "--machines", "qemu")
}

// qemuPID is the process of an instance's virtual machine.
func (w *realWorld) qemuPID(t *testing.T, id string) int {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(w.dir, "state", "imgops", "sandbox", w.sandbox, "qemu", "machines", id+".json"))
	require.NoError(t, err)
	return decode[struct{ PID int }](t, string(raw)).PID
}

// awaitState waits until the instance is in the state.
func (w *realWorld) awaitState(t *testing.T, id string, want types.InstanceStateName) {
	t.Helper()
	w.poll(t, id+" to be "+string(want), func(context.Context) (bool, error) {
		return w.byID(t, id).State.Name == want, nil
	})
}

// The pipeline on virtual machines: a role is built with its parent and verified, nothing temporary is left, and an instance of its image comes back after
// down and up.
func TestQEMUPipeline(t *testing.T) {
	onRequest(t)
	w := newQEMUWorld(t)
	w.sandboxUp(t, "qemu")
	fleet := w.newFleet(t)
	out, _ := w.imgops(t, fleet, "build", "web", "-o", "json")
	for _, r := range decode[[]done](t, out) {
		require.True(t, r.Built, r.Role)
	}
	out, _ = w.imgops(t, fleet, "verify", "web", "-o", "json")
	verified := decode[[]done](t, out)
	require.Len(t, verified, 1)
	require.Equal(t, "verified", verified[0].Result)
	w.requireClean(t)

	id := w.run(t, verified[0].Image)
	w.reachable(t, id)
	_, errs := w.imgops(t, w.dir, "sandbox", "down", "--name", w.sandbox)
	require.Contains(t, errs, "instances that were running: 1")
	require.Empty(t, w.traces(t, "/sandbox/"+w.sandbox+"/", w.dir))
	w.imgops(t, w.dir, "sandbox", "up", "--name", w.sandbox, "--machines", "qemu")
	w.awaitState(t, id, types.InstanceStateNameRunning)
	w.reachable(t, id)
	w.requireNoTrace(t, "reset")
}
