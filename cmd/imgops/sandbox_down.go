package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"syscall"

	"github.com/google/renameio/v2"

	"github.com/imgops/imgops/images/sandbox/machines"
)

// sandboxDown stops the server, then the machines, and removes their network and mounts. It notes which instances ran, for the next up.
func (a *app) sandboxDown(ctx context.Context, h *sandboxHome) error {
	if !h.exists() {
		fmt.Fprintf(a.Stdout, "sandbox %s does not exist\n", h.name)
		return nil
	}
	ran, err := a.takeDown(ctx, h, false)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.Stdout, "sandbox %s is down\n", h.name)
	if len(ran) > 0 {
		fmt.Fprintf(a.Stderr, "instances that were running: %d; imgops sandbox up%s starts them again\n", len(ran), h.flag())
	}
	return nil
}

func (a *app) sandboxReset(ctx context.Context, h *sandboxHome) error {
	if !h.exists() {
		fmt.Fprintf(a.Stdout, "sandbox %s has no state\n", h.name)
		return nil
	}
	if _, err := a.takeDown(ctx, h, true); err != nil {
		return err
	}
	if err := os.RemoveAll(h.dir); err != nil {
		return fmt.Errorf("deleting the state of sandbox %s: %w", h.name, err)
	}
	fmt.Fprintf(a.Stdout, "sandbox %s is empty\n", h.name)
	return nil
}

// takeDown stops all, the machines at once with force, and returns the ids of the instances that ran, also those that an earlier attempt has stopped.
func (a *app) takeDown(ctx context.Context, h *sandboxHome, force bool) (ran []string, err error) {
	if err := errors.Join(a.findSystemTools(), h.stopServer(ctx)); err != nil {
		return nil, err
	}
	release, err := h.lock()
	if err != nil {
		return nil, err
	}
	defer release()
	if ran, err = h.wereRunning(); err != nil {
		return nil, err
	}
	for _, name := range []string{"nspawn", "qemu"} {
		if _, err := os.Stat(h.driverDir(name)); err != nil {
			continue
		}
		if ran, err = a.machinesDown(ctx, h, name, ran, force); err != nil {
			return nil, err
		}
	}
	return ran, nil
}

// machinesDown stops the machines of a driver after it has noted them beside those that are noted already.
func (a *app) machinesDown(ctx context.Context, h *sandboxHome, name string, noted []string, force bool) ([]string, error) {
	// A machine that is just booting asks for its metadata, and does not hear that it shall shut down before it has an answer.
	o := machines.Options{Metadata: http.NotFoundHandler(), Log: slog.New(slog.NewTextHandler(a.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))}
	driver, err := a.openDriver(ctx, h, name, "", o)
	if errors.Is(err, syscall.EADDRINUSE) { // another sandbox has the addresses: whatever runs here has to go without
		o.Metadata = nil
		driver, err = a.openDriver(ctx, h, name, "", o)
	}
	if err != nil {
		return nil, fmt.Errorf("finding the %s machines of sandbox %s: %w", name, h.name, err)
	}
	noted, err = a.stopMachines(ctx, h, driver, noted, force)
	if err := errors.Join(err, driver.Close()); err != nil {
		return nil, fmt.Errorf("stopping the machines of sandbox %s: %w", h.name, err)
	}
	return noted, nil
}

func (a *app) stopMachines(ctx context.Context, h *sandboxHome, driver machines.Driver, noted []string, force bool) ([]string, error) {
	ids, err := driver.Running(ctx)
	if err != nil {
		return nil, err
	}
	noted = append(noted, ids...)
	slices.Sort(noted)
	noted = slices.Compact(noted)
	if err := h.noteRunning(noted); err != nil {
		return nil, err
	}
	for _, id := range ids {
		if force {
			err = errors.Join(err, driver.Stop(ctx, id, true))
		}
	}
	if len(ids) > 0 && !force {
		a.log.say("sandbox", fmt.Sprintf("shutting down %d %s machines", len(ids), driver.Name()), "")
		defer a.log.done("sandbox")
		defer a.log.beat()()
	}
	return noted, errors.Join(err, driver.Down(ctx))
}

// wereRunning are the ids of the instances that ran when the sandbox was taken down, as long as no server has seen to them.
func (h *sandboxHome) wereRunning() ([]string, error) {
	var ids []string
	data, err := os.ReadFile(h.path("down.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &ids)
	}
	if err != nil {
		return nil, fmt.Errorf("reading which instances ran (remove %s to have them reported stopped): %w", h.path("down.json"), err)
	}
	return ids, nil
}

// noteRunning replaces that list.
func (h *sandboxHome) noteRunning(ids []string) error {
	if len(ids) == 0 {
		if err := os.Remove(h.path("down.json")); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("forgetting which instances ran: %w", err)
		}
		return nil
	}
	data, err := json.Marshal(ids)
	if err == nil {
		err = renameio.WriteFile(h.path("down.json"), data, 0o600, renameio.WithTempDir(h.dir))
	}
	if err != nil {
		return fmt.Errorf("noting which instances run: %w", err)
	}
	return nil
}
