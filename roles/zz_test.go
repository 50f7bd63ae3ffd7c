package roles

import (
	"context"
	"fmt"
	"os/exec"
	"syscall"
	"testing"
)

func cpu(who int) float64 {
	var u syscall.Rusage
	syscall.Getrusage(who, &u)
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e6
}
func BenchmarkPhases(b *testing.B) {
	r := newSandboxRepo(b, bigFleet(500))
	r.commit()
	r.git("gc", "-q")
	r.settled()
	for range 8 {
		t := cpu(0)
		lap := func(n string) { fmt.Printf("%s %.1f  ", n, cpu(0)-t); t = cpu(0) }
		k := cpu(-1)
		exec.Command("git", "-C", r.dir, "status", "--porcelain").Run()
		exec.Command("git", "-C", r.dir, "diff", "--name-only").Run()
		fmt.Printf("git %.1f  ", cpu(-1)-k)
		t = cpu(0)
		t0 := t
		repo, _ := OpenRepo(b.Context(), r.dir)
		lap("open")
		repo.Head(context.Background())
		lap("head")
		repo.readIndex()
		lap("index")
		root, disk, _ := repo.checkout(b.Context())
		lap("checkout(incl index)")
		l := &loading{repo: repo, fleet: &Fleet{byName: map[string]*Role{}}}
		l.fleet.view = newView(root, &files{store: repo.store, root: repo.root, disk: disk}, repo.cache)
		ctx := b.Context()
		l.config(ctx)
		l.lock(ctx)
		lap("config")
		l.parse(ctx)
		lap("parse")
		l.link(ctx)
		lap("link")
		l.reach(ctx)
		lap("reach")
		l.fleet.Resolve(testPins)
		lap("resolve")
		fmt.Println("total", cpu(0)-t0)
	}
}
