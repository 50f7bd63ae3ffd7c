package roles

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/go-git/go-git/v5/config"
)

// Said is what a commit says of itself.
type Said struct {
	Author  string // "Ann Example <ann@example.com>"
	Subject string // the first line of the message
}

// Said reads a commit of this clone; nothing is fetched for it. The error is ErrUnknownRevision when the commit is not here.
func (r *Repo) Said(ctx context.Context, commit string) (Said, error) {
	id, err := r.Resolve(ctx, commit)
	if err != nil {
		return Said{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	hash, err := r.resolve(id)
	if err != nil {
		return Said{}, err
	}
	c, err := r.commit(hash)
	if err != nil {
		return Said{}, r.historyError("reading commit "+id, err)
	}
	subject, _, _ := strings.Cut(strings.TrimSpace(c.Message), "\n")
	return Said{Author: person(c.Author.Name, c.Author.Email), Subject: strings.TrimSpace(subject)}, nil
}

// User is who Git says is at work here (GIT_AUTHOR_NAME and GIT_AUTHOR_EMAIL of the given environment, else user.name and
// user.email): "Ann Example <ann@example.com>"; empty when it does not know.
func (r *Repo) User(getenv func(string) string) string { return person(r.Identity(getenv)) }

// Identity is User as a name and an email address.
func (r *Repo) Identity(getenv func(string) string) (name, email string) {
	name, email = getenv("GIT_AUTHOR_NAME"), getenv("GIT_AUTHOR_EMAIL")
	r.mu.Lock()
	defer r.mu.Unlock()
	local, err := r.git.Config()
	if err != nil {
		local = config.NewConfig()
	}
	user := r.section("user", local)
	return cmp.Or(name, user["name"]), cmp.Or(email, user["email"])
}

func person(name, email string) string {
	if email == "" {
		return name
	}
	return strings.TrimSpace(fmt.Sprintf("%s <%s>", name, email))
}
