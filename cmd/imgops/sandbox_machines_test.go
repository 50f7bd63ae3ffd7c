package main

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/imgops/imgops/images/sandbox/machines"
)

func TestChooseMachines(t *testing.T) {
	nspawn, qemu := errors.New("nspawn machines need x: apt-get install x"), errors.New("qemu machines need y: apt-get install y")
	for _, tc := range []struct {
		name, word, want string
		nspawn, qemu     error
		refusal          []string
		code             int
	}{
		{name: "nspawn is the best", word: "auto", want: "nspawn"},
		{name: "qemu where nspawn cannot", word: "auto", want: "qemu", nspawn: nspawn},
		{name: "neither", word: "auto", nspawn: nspawn, qemu: qemu, refusal: []string{"apt-get install x", "apt-get install y", "--machines none"}, code: exitError},
		{name: "qemu as asked", word: "qemu", want: "qemu"},
		{name: "what is asked for or nothing", word: "nspawn", nspawn: nspawn, refusal: []string{"apt-get install x"}, code: exitError},
		{name: "none is always there", word: "none", want: "none", nspawn: nspawn, qemu: qemu},
		{name: "nonsense", word: "xen", refusal: []string{"auto, nspawn, qemu, none"}, code: exitUsage},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, err := prober{func() error { return tc.nspawn }, func() error { return tc.qemu }}.choose(tc.word)
			if tc.code != 0 {
				for _, part := range tc.refusal {
					require.ErrorContains(t, err, part)
				}
				require.Equal(t, tc.code, exitCode(t.Context(), err))
				return
			}
			require.NoError(t, err)
			require.Equal(t, tc.want, got)
		})
	}
}

// --machines auto as a user meets it: with everything installed, without systemd-nspawn, and without QEMU too.
func TestMachinesAuto(t *testing.T) {
	if testing.Short() {
		t.Skip("makes a base image; run without -short")
	}
	w := newRealWorld(t)
	if err := machines.ProbeQEMU(); err != nil {
		t.Skipf("qemu machines cannot run here: %v", err)
	}
	t.Cleanup(func() { _ = w.command(w.dir, w.binary, "sandbox", "reset", "--name", w.sandbox).Run() })
	up := func(verb string, without ...string) (code int, status, said string) {
		w.env = append(w.env, "PATH="+pathWithout(t, without...))
		code, out, errs := w.try(t, w.dir, "sandbox", "up", "--name", w.sandbox, "--machines", "auto")
		status, _ = w.imgops(t, w.dir, "sandbox", "status", "--name", w.sandbox)
		w.imgops(t, w.dir, "sandbox", verb, "--name", w.sandbox)
		return code, status, out + errs
	}
	code, status, said := up("down", "systemd-nspawn")
	require.Zero(t, code)
	require.Contains(t, said, "(qemu machines)")
	require.Regexp(t, `machines +qemu (kvm|tcg \(.+\))\n`, status)
	code, status, said = up("reset")
	require.Zero(t, code)
	require.Contains(t, said, "(nspawn machines)")
	require.Regexp(t, `machines +nspawn\n`, status)
	code, status, errs := up("reset", "systemd-nspawn", "qemu-system-x86_64")
	require.Equal(t, exitError, code)
	require.Regexp(t, `running +false`, status)
	require.Contains(t, errs, "apt-get install systemd-container")
	require.Contains(t, errs, "apt-get install qemu-system-x86")
}
