package verifier

import (
	"bytes"
	"compress/gzip"
	"context"
	"debug/elf"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/imgops/imgops/images/machine"
)

// agent is an imgops executable that was copied to a machine.
type agent struct {
	local  string
	remote string
}

// agents keeps each executable compressed, for all machines of a run: half of the upload and nothing to install, since
// every machine has gzip.
type agents struct {
	mu     sync.Mutex
	packed map[string][]byte // by local path
}

// uploadAgent puts the imgops for the machine's system into the suite's directory there.
func (s *suite) uploadAgent(ctx context.Context) (agent, error) {
	local, err := s.v.opts.agentFor(s.remote.system, s.remote.arch)
	if err != nil {
		return agent{}, err
	}
	packed, size, err := s.v.agents.pack(local)
	if err != nil {
		return agent{}, fmt.Errorf("packing %s for the machine: %w", local, err)
	}
	a := agent{local: local, remote: s.remote.dir + "/imgops"}
	s.say("uploading the goss engine", fmt.Sprintf("%d MB to %s", len(packed)>>20, s.host.ID))
	var out capture
	start := time.Now()
	to := machine.Quote(a.remote)
	err = s.host.Run(ctx, shell("gzip -dc > "+to+" && chmod 755 "+to), bytes.NewReader(packed), &out, &out)
	if err != nil {
		return a, fmt.Errorf("uploading %s: %w", local, withOutput(err, out.String()))
	}
	took := time.Since(start)
	_, _ = fmt.Fprintf(s.log, "uploaded the goss engine: %.1f MB, %.1f MB compressed, in %.2fs\n",
		float64(size)/1e6, float64(len(packed))/1e6, took.Seconds())
	return a, nil
}

// pack compresses an executable once; the level that costs no more time than it saves on a fast network.
func (a *agents) pack(path string) (packed []byte, size int64, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	info, err := os.Stat(path)
	if err != nil {
		return nil, 0, err
	}
	if packed, ok := a.packed[path]; ok {
		return packed, info.Size(), nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	defer func() { _ = f.Close() }()
	var buf bytes.Buffer
	zw, err := gzip.NewWriterLevel(&buf, gzip.BestSpeed)
	if err != nil {
		return nil, 0, err
	}
	if _, err := io.Copy(zw, f); err != nil {
		return nil, 0, err
	}
	if err := zw.Close(); err != nil {
		return nil, 0, err
	}
	if a.packed == nil {
		a.packed = map[string][]byte{}
	}
	a.packed[path] = buf.Bytes()
	return buf.Bytes(), info.Size(), nil
}

// prepack compresses the running imgops while the machines boot, when a suite will need it. It returns what waits for
// its end.
func (v *Verifier) prepack(plans []plan) (wait func()) {
	var group sync.WaitGroup
	if slices.ContainsFunc(plans, func(p plan) bool { return p.has("goss") }) {
		group.Go(func() {
			if self, err := v.opts.self(); err == nil {
				_, _, _ = v.agents.pack(self) // an error comes again when the suite uploads it
			}
		})
	}
	return group.Wait
}

// self is the imgops for machines of this kind.
func (o Options) self() (string, error) {
	if o.Executable != "" {
		return o.Executable, nil
	}
	self, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("finding the running imgops: %w", err)
	}
	return self, nil
}

// agentFor finds the imgops executable for a machine, by what its uname says.
func (o Options) agentFor(system, arch string) (string, error) {
	self, err := o.self()
	if err != nil {
		return "", err
	}
	goos, goarch := goNames(system, arch)
	if goos == runtime.GOOS && goarch == runtime.GOARCH {
		return self, nil
	}
	template := o.Agent
	if template == "" {
		template = filepath.Join(filepath.Dir(self), "imgops-{os}-{arch}")
	}
	path := strings.NewReplacer("{os}", goos, "{arch}", goarch).Replace(template)
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%w: the machine is %s/%s, this imgops is %s/%s, and there is no %s; build one with CGO_ENABLED=0 GOOS=%s GOARCH=%s go build -o %s ./cmd/imgops",
			errNoAgent, goos, goarch, runtime.GOOS, runtime.GOARCH, path, goos, goarch, path)
	}
	return path, nil
}

// goNames turns what uname -s and -m print into Go's names.
func goNames(system, arch string) (goos, goarch string) {
	names := map[string]string{
		"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "armv6l": "arm", "i686": "386", "i386": "386",
	}
	if known, ok := names[arch]; ok {
		arch = known
	}
	return strings.ToLower(system), arch
}

// dynamic says that an ELF executable asks for a dynamic loader.
func dynamic(path string) bool {
	f, err := elf.Open(path)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return true
		}
	}
	return false
}
