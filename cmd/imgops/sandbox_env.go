package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// environment is what leads an AWS client to the sandbox, in the order of printing.
func environment(url string, o *sandboxOptions) [][2]string {
	return [][2]string{
		{"AWS_ENDPOINT_URL", url},
		{"AWS_ACCESS_KEY_ID", "SANDBOX" + o.account},
		{"AWS_SECRET_ACCESS_KEY", "sandbox"},
		{"AWS_REGION", o.region},
		{"AWS_DEFAULT_REGION", o.region},
		{"AWS_EC2_METADATA_DISABLED", "true"},
	}
}

// unset are the variables that would lead an AWS client elsewhere, or away from AWS_ENDPOINT_URL.
var unset = []string{"AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN", "AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
	"AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_ARN", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
	"AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT"}

// leadsAway: the endpoints of single services (AWS_ENDPOINT_URL_EC2) come before AWS_ENDPOINT_URL.
func leadsAway(variable string) bool {
	return slices.Contains(unset, variable) || strings.HasPrefix(variable, "AWS_ENDPOINT_URL_")
}

// clientEnvironment is all that env and exec set.
func (a *app) clientEnvironment(ctx context.Context, h *sandboxHome, o *sandboxOptions, proxy bool) ([][2]string, error) {
	r, err := h.running(ctx)
	if err != nil {
		return nil, err
	}
	all := environment(r.URL, o)
	if !proxy {
		return all, nil
	}
	s, err := askStatus(ctx, r.URL)
	if err != nil {
		return nil, err
	}
	more, err := a.proxyEnvironment(h, r, s.Network)
	return append(all, more...), err
}

func (a *app) sandboxEnv(ctx context.Context, h *sandboxHome, o *sandboxOptions) error {
	all, err := a.clientEnvironment(ctx, h, o, o.proxy)
	if err != nil {
		return err
	}
	for _, kv := range all {
		fmt.Fprintf(a.Stdout, "export %s=%s\n", kv[0], quoteShell(kv[1]))
	}
	away := slices.Clone(unset)
	for _, kv := range os.Environ() {
		if name, _, _ := strings.Cut(kv, "="); leadsAway(name) && !slices.Contains(away, name) {
			away = append(away, name)
		}
	}
	fmt.Fprintf(a.Stdout, "unset %s\n", strings.Join(away, " "))
	return nil
}

// quoteShell quotes a value for a shell where that is needed.
func quoteShell(value string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_.,:/@%+=", r)
	}
	if strings.IndexFunc(value, func(r rune) bool { return !plain(r) }) < 0 {
		return value
	}
	return "'" + strings.ReplaceAll(value, "'", `'\''`) + "'"
}

func (a *app) sandboxExec(ctx context.Context, h *sandboxHome, o *sandboxOptions, args []string) error {
	set, err := a.clientEnvironment(ctx, h, o, !o.noProxy)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = a.Stdin, a.Stdout, a.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	for _, kv := range os.Environ() {
		if name, _, _ := strings.Cut(kv, "="); !leadsAway(name) {
			cmd.Env = append(cmd.Env, kv)
		}
	}
	for _, kv := range set {
		cmd.Env = append(cmd.Env, kv[0]+"="+kv[1])
	}
	if err := cmd.Run(); err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) && exit.Exited() {
			return &exitStatus{code: exit.ExitCode()}
		}
		return fmt.Errorf("running %s: %w", args[0], err)
	}
	return nil
}
