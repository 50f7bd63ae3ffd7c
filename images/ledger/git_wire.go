package ledger

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/format/packfile"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/sideband"
	"github.com/go-git/go-git/v5/plumbing/transport"
	"github.com/go-git/go-git/v5/plumbing/transport/client"
	githttp "github.com/go-git/go-git/v5/plumbing/transport/http"
)

// wire carries objects between the repository and its remote.
type wire interface {
	// tip is the branch's; the zero hash when it is not there.
	tip(ctx context.Context) (plumbing.Hash, error)
	// fetch gets the branch. With a tip that is here and no commits to build on, it gets the history that a shallow clone lacks.
	fetch(ctx context.Context, want plumbing.Hash, have []plumbing.Hash) error
	mayPush(ctx context.Context) error
	// push moves the branch. The error is errMoved when it was not at old, and a *RefusedError when the remote does not want it.
	push(ctx context.Context, old, tip plumbing.Hash, objects []plumbing.Hash) error
}

// errMoved says that somebody else was faster.
var errMoved = errors.New("the ledger has moved on")

// newWire gives the remote's wire: go-git's, and behind it the git command's.
func newWire(g *Git, url string) wire {
	first := &goWire{git: g, url: url}
	if g.opts.NoCommand {
		return first
	}
	if _, err := exec.LookPath("git"); err != nil {
		return first
	}
	return &eitherWire{first: first, second: &commandWire{git: g, url: url}}
}

// eitherWire uses the second wire as soon as the first one did not come through.
type eitherWire struct {
	first, second wire
	switched      bool
}

func (w *eitherWire) use(do func(wire) error) error {
	if w.switched {
		return do(w.second)
	}
	err := do(w.first)
	var refused *RefusedError
	if err == nil || errors.Is(err, errMoved) || errors.As(err, &refused) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if second := do(w.second); second != nil && !errors.Is(second, errMoved) {
		return second // it says more than go-git's
	} else if second != nil {
		err = second
	} else {
		err = nil
	}
	w.switched = true
	return err
}

func (w *eitherWire) tip(ctx context.Context) (tip plumbing.Hash, err error) {
	err = w.use(func(v wire) error { tip, err = v.tip(ctx); return err })
	return tip, err
}

func (w *eitherWire) fetch(ctx context.Context, want plumbing.Hash, have []plumbing.Hash) error {
	return w.use(func(v wire) error { return v.fetch(ctx, want, have) })
}

func (w *eitherWire) mayPush(ctx context.Context) error {
	return w.use(func(v wire) error { return v.mayPush(ctx) })
}

func (w *eitherWire) push(ctx context.Context, old, tip plumbing.Hash, objects []plumbing.Hash) error {
	return w.use(func(v wire) error { return v.push(ctx, old, tip, objects) })
}

// goWire is go-git's transports.
type goWire struct {
	git  *Git
	url  string
	auth transport.AuthMethod
	open transport.Transport
	end  *transport.Endpoint
}

// dial prepares the transport, once.
func (w *goWire) dial(ctx context.Context) error {
	if w.open != nil {
		return nil
	}
	end, err := transport.NewEndpoint(w.url)
	if err != nil {
		return fmt.Errorf("understanding the remote's URL: %w", err)
	}
	open, err := client.NewClient(end)
	if err != nil {
		return fmt.Errorf("connecting to the remote: %w", err)
	}
	w.auth = w.credentials(ctx, end)
	w.open, w.end = open, end
	return nil
}

// credentials are for http(s) remotes: those of the environment before the URL's, for GitLab's runners clone with a URL whose
// token may only read. ssh remotes have go-git's own, the agent.
func (w *goWire) credentials(ctx context.Context, end *transport.Endpoint) transport.AuthMethod {
	if end.Protocol != "http" && end.Protocol != "https" {
		return nil
	}
	getenv := w.git.opts.Getenv
	if password := getenv("IMGOPS_GIT_PASSWORD"); password != "" {
		user := getenv("IMGOPS_GIT_USERNAME")
		if user == "" {
			user = "imgops" // the servers that take tokens take any name
		}
		return &githttp.BasicAuth{Username: user, Password: password}
	}
	if w.git.opts.NoCommand || end.Password != "" {
		return nil
	}
	return fillCredential(ctx, w.git, end)
}

// fillCredential asks Git's credential helpers. Nobody is asked on a terminal.
func fillCredential(ctx context.Context, g *Git, end *transport.Endpoint) transport.AuthMethod {
	host := end.Host
	if end.Port != 0 {
		host = fmt.Sprintf("%s:%d", host, end.Port)
	}
	ask := fmt.Sprintf("protocol=%s\nhost=%s\npath=%s\n", end.Protocol, host, strings.TrimPrefix(end.Path, "/"))
	if end.User != "" {
		ask += "username=" + end.User + "\n"
	}
	cmd := gitCommand(ctx, g, "credential", "fill")
	cmd.Stdin = strings.NewReader(ask + "\n")
	out, err := cmd.Output()
	if err != nil {
		return nil
	}
	auth := &githttp.BasicAuth{}
	for s := bufio.NewScanner(bytes.NewReader(out)); s.Scan(); {
		switch name, value, _ := strings.Cut(s.Text(), "="); name {
		case "username":
			auth.Username = value
		case "password":
			auth.Password = value
		}
	}
	if auth.Password == "" {
		return nil
	}
	return auth
}

// await gives up waiting for something that knows no context.
func await[T any](ctx context.Context, do func() (T, error)) (T, error) {
	type answer struct {
		v   T
		err error
	}
	ch := make(chan answer, 1)
	go func() {
		v, err := do()
		ch <- answer{v, err}
	}()
	select {
	case a := <-ch:
		return a.v, a.err
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
}

func (w *goWire) tip(ctx context.Context) (plumbing.Hash, error) {
	_, tip, done, err := w.reading(ctx)
	done()
	return tip, err
}

// reading begins to fetch: the session is nil when the remote has nothing at all.
func (w *goWire) reading(ctx context.Context) (s *uploading, tip plumbing.Hash, done func(), err error) {
	done = func() {}
	if err := w.dial(ctx); err != nil {
		return nil, tip, done, err
	}
	up, err := await(ctx, func() (transport.UploadPackSession, error) { return w.open.NewUploadPackSession(w.end, w.auth) })
	if err != nil {
		return nil, tip, done, explainSSH(err, w.url)
	}
	done = func() { _ = up.Close() } // the answer is here, or the error is
	refs, err := up.AdvertisedReferencesContext(ctx)
	if errors.Is(err, transport.ErrEmptyRemoteRepository) {
		return nil, tip, done, nil
	}
	if err != nil {
		return nil, tip, done, err
	}
	return &uploading{up, refs.Capabilities}, refs.References[localRef.String()], done, nil
}

type uploading struct {
	transport.UploadPackSession
	can *capability.List
}

func (w *goWire) fetch(ctx context.Context, want plumbing.Hash, have []plumbing.Hash) error {
	s, tip, done, err := w.reading(ctx)
	defer done()
	if err != nil {
		return err
	}
	if s == nil || tip != want { // what is no tip any more is not given
		return errMoved
	}
	req := packp.NewUploadPackRequestFromCapabilities(s.can)
	if s.can.Supports(capability.NoProgress) {
		_ = req.Capabilities.Set(capability.NoProgress) // it takes no value
	}
	req.Wants, req.Haves = []plumbing.Hash{want}, have
	answer, err := s.UploadPack(ctx, req)
	if err != nil {
		return err
	}
	defer func() { _ = answer.Close() }() // all of it was read, or the error is told
	var pack io.Reader = answer
	switch {
	case req.Capabilities.Supports(capability.Sideband64k):
		pack = sideband.NewDemuxer(sideband.Sideband64k, answer)
	case req.Capabilities.Supports(capability.Sideband):
		pack = sideband.NewDemuxer(sideband.Sideband, answer)
	}
	return packfile.UpdateObjectStorage(w.git.objects(), pack)
}

// writing begins to push.
func (w *goWire) writing(ctx context.Context) (transport.ReceivePackSession, *packp.AdvRefs, error) {
	if err := w.dial(ctx); err != nil {
		return nil, nil, err
	}
	s, err := await(ctx, func() (transport.ReceivePackSession, error) { return w.open.NewReceivePackSession(w.end, w.auth) })
	if err != nil {
		return nil, nil, explainSSH(err, w.url)
	}
	refs, err := s.AdvertisedReferencesContext(ctx)
	if err != nil {
		_ = s.Close()
		return nil, nil, err
	}
	return s, refs, nil
}

func (w *goWire) mayPush(ctx context.Context) error {
	s, _, err := w.writing(ctx)
	if err != nil {
		return err
	}
	_ = s.Close() // nothing was begun
	return nil
}

func (w *goWire) push(ctx context.Context, old, tip plumbing.Hash, objects []plumbing.Hash) error {
	s, refs, err := w.writing(ctx)
	if err != nil {
		return err
	}
	defer s.Close() // what matters is in the report
	if refs.References[localRef.String()] != old {
		return errMoved
	}
	req := packp.NewReferenceUpdateRequestFromCapabilities(refs.Capabilities)
	req.Commands = []*packp.Command{{Name: localRef, Old: old, New: tip}}
	r, pipe := io.Pipe()
	req.Packfile = r
	packed := make(chan error, 1)
	go func() {
		_, err := packfile.NewEncoder(pipe, w.git.objects(), !refs.Capabilities.Supports(capability.OFSDelta)).Encode(objects, 10)
		packed <- errors.Join(err, pipe.CloseWithError(err))
	}()
	report, err := s.ReceivePack(ctx, req)
	_ = r.Close() // ends the packing if it still goes on
	if packErr := <-packed; err == nil {
		err = packErr
	}
	if err != nil && report != nil { // the remote has taken the pack and speaks of the branch
		return w.git.rejected(err)
	}
	if err == nil && report == nil && refs.Capabilities.Supports(capability.ReportStatus) {
		err = errors.New("the remote does not say what became of the push")
	}
	return err
}

// rejected tells a push that came too late from one that is not wanted.
func (g *Git) rejected(err error) error {
	for _, word := range []string{"lock", "failed to update ref", "fetch first", "non-fast-forward", "stale info", "already exists", "incorrect old value"} {
		if strings.Contains(err.Error(), word) {
			return fmt.Errorf("%w: %w", errMoved, err)
		}
	}
	return &RefusedError{
		Where: g.String(), Err: err,
		Fix: "let whoever runs imgops push to that branch (its contents: write, no protection against pushes)",
	}
}
