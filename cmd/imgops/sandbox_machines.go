package main

import (
	"fmt"

	"github.com/imgops/imgops/images/sandbox/machines"
)

// prober says why this user cannot run a kind of machines here, nil when that works.
type prober struct{ nspawn, qemu func() error }

var hostProber = prober{machines.Probe, machines.ProbeQEMU}

// choose turns --machines into a driver's name. auto is nspawn as root on Linux, else qemu, else a refusal that says what to install.
func (p prober) choose(word string) (string, error) {
	switch word {
	case "none":
		return word, nil
	case "nspawn":
		return word, cannotRun(p.nspawn())
	case "qemu":
		return word, cannotRun(p.qemu())
	case "auto":
		noNspawn := p.nspawn()
		if noNspawn == nil {
			return "nspawn", nil
		}
		noQEMU := p.qemu()
		if noQEMU == nil {
			return "qemu", nil
		}
		return "", cannotRun(fmt.Errorf("%w; %w", noNspawn, noQEMU))
	}
	return "", &usageError{err: fmt.Errorf("unknown --machines %q; it is one of auto, nspawn, qemu, none", word)}
}

func cannotRun(why error) error {
	if why == nil {
		return nil
	}
	return fmt.Errorf("machines cannot run here: %w (or use --machines none: instances change state and nothing runs)", why)
}
