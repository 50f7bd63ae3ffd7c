package baseimage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/google/renameio/v2"
)

// Options says which image to make.
type Options struct {
	Dir      string // the cache directory; made when it is missing
	Mirror   string // default http://deb.debian.org/debian; its security archive is expected beside it
	Suite    string // default bookworm
	Arch     string // Debian's word: amd64 or arm64; default this computer's
	Progress func(string)
}

// Image is a base image in the cache.
type Image struct {
	Path         string    `json:"-"`            // of the raw disk, sparse; read it, never write to it
	Name         string    `json:"name"`         // debian-12-amd64-20251101-1042
	Created      time.Time `json:"created"`      // UTC
	SizeBytes    int64     `json:"size_bytes"`   // virtual
	Architecture string    `json:"architecture"` // EC2's word: x86_64 or arm64
}

// Make returns the cached image of the recipe, or makes it, which takes about a minute, mmdebstrap and the mirror, and root or subordinate ids. Several processes may
// call it at once: one makes the image, the others wait for it. Images of other recipes that nobody has asked for since a day are removed.
func Make(ctx context.Context, o Options) (Image, error) {
	o = o.withDefaults()
	key, err := o.key()
	if err != nil {
		return Image{}, err
	}
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return Image{}, fmt.Errorf("making the base image cache: %w", err)
	}
	img, err := o.find(ctx, key)
	if err != nil {
		return Image{}, err
	}
	if err := o.prune(ctx, key, time.Now().Add(-keepUnused)); err != nil {
		o.Progress("removing old base images: " + err.Error()) // the next one tries it again
	}
	return img, nil
}

// find returns the image of the key, marked as used, or makes it.
func (o Options) find(ctx context.Context, key string) (Image, error) {
	unlock, err := lock(ctx, filepath.Join(o.Dir, key+".lock"), func() { o.Progress("waiting for another maker of the base image") })
	if err != nil {
		return Image{}, fmt.Errorf("locking the base image cache: %w", err)
	}
	defer unlock()
	if img, err := o.cached(key); err == nil {
		now := time.Now()
		_ = os.Chtimes(filepath.Join(o.Dir, key+".json"), now, now) // it may be another user's
		return img, nil
	}
	img, err := o.make(ctx, key)
	if err != nil {
		return Image{}, fmt.Errorf("making the %s base image: %w", o.Suite, err)
	}
	return img, nil
}

func (o Options) withDefaults() Options {
	if o.Mirror == "" {
		o.Mirror = "http://deb.debian.org/debian"
	}
	o.Mirror = strings.TrimSuffix(o.Mirror, "/")
	if o.Suite == "" {
		o.Suite = "bookworm"
	}
	if o.Arch == "" {
		o.Arch = runtime.GOARCH // Go and Debian agree on amd64 and arm64
	}
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	return o
}

// cached finds a finished image: the description is written last.
func (o Options) cached(key string) (Image, error) {
	img := Image{Path: filepath.Join(o.Dir, key+".img")}
	data, err := os.ReadFile(filepath.Join(o.Dir, key+".json"))
	if err != nil {
		return Image{}, err
	}
	if err := json.Unmarshal(data, &img); err != nil {
		return Image{}, err
	}
	if info, err := os.Stat(img.Path); err != nil || info.Size() != img.SizeBytes {
		return Image{}, errors.New("the cached base image is damaged")
	}
	return img, nil
}

func (o Options) make(ctx context.Context, key string) (Image, error) {
	if err := Probe(); err != nil {
		return Image{}, err
	}
	work := filepath.Join(o.Dir, key+".tmp")
	// A leftover of a killed maker: its processes and mounts died with it, see chroot.go.
	if err := remove(ctx, work); err != nil {
		return Image{}, fmt.Errorf("removing a half-made image: %w", err)
	}
	defer func() { _ = remove(context.WithoutCancel(ctx), work) }() // the next maker removes what is left
	root, raw := filepath.Join(work, "root"), filepath.Join(work, "disk")
	if err := os.MkdirAll(root, 0o755); err != nil {
		return Image{}, err
	}
	if err := o.debootstrap(ctx, root, work); err != nil {
		return Image{}, err
	}
	if err := customize(root); err != nil {
		return Image{}, fmt.Errorf("configuring the root file system: %w", err)
	}
	if err := o.mkfs(ctx, root, raw); err != nil {
		return Image{}, err
	}
	return o.publish(key, raw)
}

func (o Options) publish(key, raw string) (Image, error) {
	now := time.Now().UTC().Truncate(time.Second)
	img := Image{
		Path: filepath.Join(o.Dir, key+".img"), Name: name(o, now), Created: now, SizeBytes: diskSize,
		Architecture: map[string]string{"amd64": "x86_64"}[o.Arch],
	}
	if img.Architecture == "" {
		img.Architecture = o.Arch
	}
	data, err := json.Marshal(img)
	if err != nil {
		return Image{}, err
	}
	if err := os.Rename(raw, img.Path); err != nil {
		return Image{}, err
	}
	return img, renameio.WriteFile(filepath.Join(o.Dir, key+".json"), data, 0o644)
}

// name follows Debian's: release, architecture, date and a build number that grows within the day.
func name(o Options, at time.Time) string {
	release := versions[o.Suite]
	if release == "" {
		release = o.Suite
	}
	return fmt.Sprintf("debian-%s-%s-%s-%d", release, o.Arch, at.Format("20060102"), 1000+at.Hour()*60+at.Minute())
}
