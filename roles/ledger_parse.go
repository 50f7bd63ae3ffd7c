package roles

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// ledgerRequired is the word for the branch, required.
const ledgerRequired = "required"

// A bucket's name: 3 to 63 lower-case letters, digits, dots and dashes (S3 user guide, "General purpose bucket naming
// rules"). A prefix is part of a URL in messages, so it is kept plain.
var placeForm = lazy(`^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9!_.*'()-]+)*/?$`)

// ledger reads a word, or a mapping.
func (p *configParser) ledger(n *yaml.Node) {
	l := &p.config.Ledger
	if resolveAlias(n).Kind != yaml.MappingNode {
		l.Store, l.Required = p.ledgerStore(n, "ledger", LedgerBranch, LedgerOff, ledgerRequired)
		return
	}
	region := place{}
	p.mapping(n, "ledger", fields{
		"store": func(n *yaml.Node) { l.Store, _ = p.ledgerStore(n, "store", LedgerBranch) },
		"required": func(n *yaml.Node) {
			if resolved := resolveAlias(n); resolved.ShortTag() != "!!bool" {
				p.add(at(n), fmt.Sprintf("%q is neither true nor false", resolved.Value), "write true or false")
				return
			}
			l.Required = resolveAlias(n).Value == "true"
		},
		"region": func(n *yaml.Node) { l.Region, _ = p.region(n, "Region of the ledger"); region = at(n) },
	})
	if l.Region != "" && !strings.HasPrefix(l.Store, "s3://") {
		p.add(region, "the ledger has a Region, and is not in S3", "write store: s3://BUCKET/PREFIX too, or delete the Region")
	}
}

// ledgerStore reads where the ledger is. On a mistake it is the default's place.
func (p *configParser) ledgerStore(n *yaml.Node, what string, words ...string) (store string, required bool) {
	const s3 = "a place in S3 (s3://BUCKET/PREFIX)"
	v, ok := p.text(n, what)
	switch {
	case !ok:
	case v == ledgerRequired && slices.Contains(words, v):
		return LedgerBranch, true
	case slices.Contains(words, v) || placeForm().MatchString(v):
		return v, false
	case strings.HasPrefix(strings.ToLower(v), "s3:"):
		p.add(at(n), fmt.Sprintf("%s %q is no place in S3", what, v), "write s3://BUCKET or s3://BUCKET/PREFIX, the bucket in lower case")
	case (v == ledgerRequired || v == LedgerOff) && what == "store":
		p.add(at(n), fmt.Sprintf("store %q is no place", v), fmt.Sprintf("write `ledger: %s`, or required: true beside a store", v))
	default:
		p.add(at(n), fmt.Sprintf("%s %q is unknown", what, v), choose(v, words)+", or "+s3)
	}
	return LedgerBranch, false
}
