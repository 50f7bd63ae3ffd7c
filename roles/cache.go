package roles

import (
	"sync"

	"github.com/go-git/go-git/v5/plumbing"
)

// parseCache remembers what was read, by content id, so that a second load of a repository (the base of a pull
// request, say) parses only what differs.
type parseCache struct {
	definitions *definitions
	quiet       *quietRoles

	mu      sync.Mutex
	scanned map[factsKey]*ansibleFacts
}

type definitionKey struct {
	file string
	id   plumbing.Hash
}

// factsKey holds all that the facts of an Ansible role follow from.
type factsKey struct {
	dir  string
	id   plumbing.Hash
	tops string
}

func newParseCache(gitDir string) *parseCache {
	return &parseCache{definitions: newDefinitions(gitDir), scanned: map[factsKey]*ansibleFacts{}, quiet: newQuietRoles(gitDir)}
}

// save writes what is worth remembering between runs.
func (c *parseCache) save() {
	c.definitions.save()
	c.quiet.save()
}

func (c *parseCache) facts(k factsKey) *ansibleFacts {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.scanned[k]
}

func (c *parseCache) setFacts(k factsKey, f *ansibleFacts) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.scanned[k] = f
}
