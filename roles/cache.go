package roles

import (
	"sync"

	"github.com/go-git/go-git/v5/plumbing"
)

// parseCache remembers what was read, by content id, so that a second load of a repository (the base of a pull
// request, say) parses only what differs.
type parseCache struct {
	mu          sync.Mutex
	definitions map[definitionKey]*definition
	scanned     map[factsKey]*ansibleFacts
	quiet       *quietRoles
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
	return &parseCache{definitions: map[definitionKey]*definition{}, scanned: map[factsKey]*ansibleFacts{}, quiet: newQuietRoles(gitDir)}
}

func (c *parseCache) definition(k definitionKey) *definition {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.definitions[k]
}

func (c *parseCache) setDefinition(k definitionKey, d *definition) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.definitions[k] = d
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
