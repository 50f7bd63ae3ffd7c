package query

import (
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

const (
	maxDepth  = 12   // segments of a parameter name; EC2's deepest is 6
	maxIndex  = 5000 // of a list; EC2 takes at most 1,000 resources per CreateTags
	maxParams = 20000
)

// node is one segment of the parameter names: a value, or the parameters below it.
type node struct {
	value    *string
	children map[string]*node
}

func (n *node) child(name string) *node {
	if n.children == nil {
		n.children = map[string]*node{}
	}
	c := n.children[name]
	if c == nil {
		c = &node{}
		n.children[name] = c
	}
	return c
}

// parse makes the tree of all parameters.
func parse(params url.Values) (*node, error) {
	if len(params) > maxParams {
		return nil, Errorf("InvalidParameterCombination", "A request takes at most %d parameters, this one has %d", maxParams, len(params))
	}
	root := &node{}
	for name, values := range params {
		segments := strings.Split(name, ".")
		if len(segments) > maxDepth || slices.Contains(segments, "") {
			return nil, unknownParameter(name)
		}
		if len(values) != 1 {
			return nil, Errorf("InvalidParameterCombination", "The parameter %s is given %d times", name, len(values))
		}
		at := root
		for _, s := range segments {
			at = at.child(s)
		}
		at.value = &values[0]
	}
	return root, nil
}

// names lists the children's names in order, so that errors do not depend on the order of a map.
func (n *node) names() []string {
	return slices.Sorted(maps.Keys(n.children))
}

// items lists the children of a list in the order of their indexes. Gaps are closed, as EC2 does.
func (n *node) items(path string) ([]*node, []string, error) {
	type item struct {
		index int
		name  string
	}
	var found []item
	for _, name := range n.names() {
		i, err := strconv.Atoi(name)
		if err != nil || i < 1 || strconv.Itoa(i) != name {
			return nil, nil, unknownParameter(join(path, name))
		}
		if i > maxIndex {
			return nil, nil, Errorf("InvalidParameterValue", "The index of %s is larger than %d", join(path, name), maxIndex)
		}
		found = append(found, item{i, name})
	}
	slices.SortFunc(found, func(a, b item) int { return a.index - b.index })
	nodes, paths := make([]*node, 0, len(found)), make([]string, 0, len(found))
	for _, f := range found {
		nodes = append(nodes, n.children[f.name])
		paths = append(paths, join(path, f.name))
	}
	return nodes, paths, nil
}

// first is the full name of the first parameter at or below n, for messages.
func (n *node) first(path string) string {
	if n.value != nil || len(n.children) == 0 {
		return path
	}
	name := n.names()[0]
	return n.children[name].first(join(path, name))
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
