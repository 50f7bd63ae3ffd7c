package verifier

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images/machine"
	"github.com/imgops/imgops/roles"
)

func TestVerifyOneSuiteFailsAnotherCannotBeJudged(t *testing.T) {
	b := newBench(t, map[string]string{"bad/a.sh": "false\n", "broken/a.sh": "true\n", "good/a.sh": "true\n"})
	b.conns["broken"].boot = errors.New("no boot")
	report, err := b.verify(t)
	failed := (*FailedError)(nil)
	require.ErrorAs(t, err, &failed)
	require.ErrorContains(t, err, "suite broken on image ami-1: waiting for machine i-broken to boot: no boot")
	require.ElementsMatch(t, []string{"bad sh a.sh failed", "good sh a.sh passed"}, outcomes(report))
	for name, conn := range b.conns {
		require.EqualValues(t, 1, conn.closed.Load(), "suite %s", name)
	}
}

func TestVerifyFailuresOfALostMachineAreNoVerdict(t *testing.T) {
	b := newBench(t, map[string]string{"s/a.sh": "false\n"})
	b.conns["s"].run = func(cmd string) error {
		if cmd == "true" {
			return errors.New("no route to host")
		}
		return nil
	}
	report, err := b.verify(t)
	requireNotJudged(t, report, err)
	require.ErrorContains(t, err, "does not answer any more")
}

func TestVerifyTimeout(t *testing.T) {
	b := newBench(t, map[string]string{"s/a.sh": "echo begun; exec sleep 600\n"})
	b.req.Role.Verify[0].Timeout = roles.Duration(time.Second)
	report, err := b.verify(t)
	requireNotJudged(t, report, err)
	require.ErrorContains(t, err, "stopped while running a.sh (the script on i-s): ")
	require.ErrorContains(t, err, "the suite's timeout of 1s is over")
	require.Equal(t, 1, strings.Count(err.Error(), "is over"), err)
	require.EqualValues(t, 1, b.conns["s"].closed.Load())
}

func TestVerifyCancelled(t *testing.T) {
	b := newBench(t, map[string]string{"s/a.sh": "echo begun; exec sleep 600\n"})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	b.req.Log = writerFunc(func(p []byte) {
		if bytes.Contains(p, []byte("begun")) {
			cancel()
		}
	})
	report, err := b.v.Verify(ctx, b.req)
	requireNotJudged(t, report, err)
	require.ErrorIs(t, err, context.Canceled)
	require.EqualValues(t, 1, b.conns["s"].closed.Load())
	requireReports(t, b, report)
}

type writerFunc func([]byte)

func (f writerFunc) Write(p []byte) (int, error) { f(p); return len(p), nil }

func TestVerifyKeepsMachines(t *testing.T) {
	b := newBench(t, map[string]string{"s/a.sh": "false\n"})
	b.req.Keep = true
	b.v = New(b.launch, Options{Keep: 10 * time.Hour})
	report, err := b.verify(t)
	require.Error(t, err)
	require.Zero(t, b.conns["s"].closed.Load())
	spec := <-b.specs
	require.DirExists(t, spec.WorkDir)
	require.Contains(t, strings.Join(report.Summary(), "\n"), "machine i-s was kept: ssh -F '"+b.conns["s"].home+"/ssh_config' machine")
	require.Greater(t, spec.Lifetime, 10*time.Hour)
}

func TestVerifyAsksForTheRightMachine(t *testing.T) {
	b := newBench(t, map[string]string{"s/a.sh": "true\n"})
	b.req.Build = roles.BuildLocation{SSHCIDR: "10.0.0.0/8", SubnetID: "subnet-1"}
	_, err := b.verify(t)
	require.NoError(t, err)
	want := machine.Spec{
		Location: b.req.Location, Image: b.req.Image, Purpose: "verify", Fleet: "acme", Role: "web", Run: "r1", Suffix: "s",
		InstanceTypes: []string{"t3.small", "t3a.small"}, SSHUser: "admin", SSHCIDR: "10.0.0.0/8", SubnetID: "subnet-1",
		Lifetime: 31 * time.Minute, WorkDir: filepath.Join(b.req.WorkDir, "machines", "s"),
	}
	require.Equal(t, want, <-b.specs)
	b.req.Role.Verify[0].InstanceType = "m7i.large"
	_, err = b.verify(t)
	require.NoError(t, err)
	require.Equal(t, []string{"m7i.large"}, (<-b.specs).InstanceTypes)
}
