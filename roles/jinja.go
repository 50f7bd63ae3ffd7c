package roles

import (
	"slices"
	"strings"
)

var (
	jinjaPart = lazy(`(?s)\{\{.*?\}\}|\{%.*?%\}`)
	// jinjaOther is the header by which a template chooses other delimiters.
	jinjaOther = lazy(`#\s*jinja2:.*_(start|end)_string`)
	directive  = lazy(`(?s)^\{%[-+]?\s*(include|import|extends|from)\b\s*(.*?)\s*[-+]?%\}$`)
	oneName    = lazy(`^(?:'([^'\\]*)'|"([^"\\]*)")(?:\s+(?:ignore|with|without|as|import)\b|$)`)

	lookupStart = lazy(`\b(?:lookup|query|q)\s*\(\s*`)
	lookupName  = lazy(`^(?:'([\w.]+)'|"([\w.]+)")\s*`)
	lookupArg   = lazy(`^,\s*(?:'([^'\\]*)'|"([^"\\]*)")\s*`)
	lookupEnd   = lazy(`^(?:,\s*[a-z_]+\s*=|\))`)
	// asksController are filters and tests that look at the controller's files.
	asksController = lazy(`\|\s*(?:ansible\.builtin\.)?fileglob\b|\bis\s+(?:not\s+)?(?:ansible\.builtin\.)?(?:file|is_file|directory|is_dir|exists|link|is_link|link_exists|is_link_exists|same_file|is_same_file|mount|is_mount)\b`)
	// factOnly is an expression that stands for one word of a machine's facts, which holds no slash.
	factOnly = lazy(`^\{\{-?\s*(?:inventory_hostname(?:_short)?|ansible_(?:distribution(?:_major_version|_version|_release)?|os_family|architecture|system|pkg_mgr|service_mgr|lsb\.codename|machine|kernel)|ansible_facts(?:\.[a-z_]+|\[\s*(?:'[a-z_]+'|"[a-z_]+")\s*\]))\s*(?:\|\s*(?:lower|upper)\s*)?-?\}\}$`)
)

// noFileLookups are the lookup plugins that read no file of the controller.
var noFileLookups = []string{
	"config", "dict", "env", "indexed_items", "inventory_hostnames", "items", "list", "nested", "random_choice", "sequence",
	"subelements", "together", "url", "vars", "varnames", "dig", "flattened", "cartesian", "random_string",
}

// literalLookups are those whose arguments are names of files.
var literalLookups = []string{"file", "fileglob", "template", "unvault"}

// builtin is a plugin's or module's name without the collection that every Ansible has.
func builtin(name string) string {
	return strings.TrimPrefix(strings.TrimPrefix(name, "ansible.builtin."), "ansible.legacy.")
}

// pick gives the group of an alternative that matched.
func pick(match []string) string { return match[1] + match[2] }

// lookups collects the files that the lookups in a string read.
func (s *scanner) lookups(text string) {
	if asksController().MatchString(text) {
		s.facts.dynamic = true
	}
	for _, at := range lookupStart().FindAllStringIndex(text, -1) {
		s.lookup(text[at[1]:])
	}
}

// lookup reads the arguments of one call.
func (s *scanner) lookup(rest string) {
	name := lookupName().FindStringSubmatch(rest)
	if name == nil {
		s.facts.dynamic = true
		return
	}
	plugin := builtin(pick(name))
	if slices.Contains(noFileLookups, plugin) {
		return
	}
	rest = rest[len(name[0]):]
	var args []string
	for arg := lookupArg().FindStringSubmatch(rest); arg != nil; arg = lookupArg().FindStringSubmatch(rest) {
		args, rest = append(args, pick(arg)), rest[len(arg[0]):]
	}
	if !slices.Contains(literalLookups, plugin) || len(args) == 0 || !lookupEnd().MatchString(rest) {
		s.facts.dynamic = true
		return
	}
	k := asData
	if plugin == "template" {
		k = asTemplate
	}
	for _, name := range args {
		s.refer(name, k)
	}
}

// template collects what a Jinja template reads beside itself.
func (s *scanner) template(data []byte) {
	text := string(data)
	if jinjaOther().MatchString(text) {
		s.facts.dynamic = true
		return
	}
	for _, part := range jinjaPart().FindAllString(text, -1) {
		if strings.HasPrefix(part, "{%") {
			if m := directive().FindStringSubmatch(part); m != nil {
				name := oneName().FindStringSubmatch(m[2])
				if name == nil {
					s.facts.dynamic = true
					return
				}
				s.refer(pick(name), asTemplate)
			}
		}
		s.lookups(part)
	}
}
