package roles

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// remoteSource are modules whose `src` is a path on the machine that is made.
var remoteSource = []string{
	"file", "fetch", "slurp", "stat", "mount", "ansible.posix.mount", "git", "assemble", "get_url", "win_file", "iso_extract",
	"community.general.iso_extract", "lvg", "filesystem", "blockdev", "ini_file", "archive", "community.general.archive",
}

var (
	// inlineSource finds src= in the old `module: src=a dest=b` form.
	inlineSource = lazy(`(?:^|\s)src=(?:"([^"]*)"|'([^']*)'|((?:\{\{.*?\}\}|\S)+))`)
	inlineRemote = lazy(`(?i)(?:^|\s)remote_src=["']?(?:yes|true|on|1)\b`)
	inlineFile   = lazy(`(?:^|\s)(?:file|dir)=(?:"([^"]*)"|'([^']*)'|((?:\{\{.*?\}\}|\S)+))`)
	itemForm     = lazy(`\{\{-?\s*item(?:\.([A-Za-z_]\w*)|\[\s*['"](\w+)['"]\s*\])?\s*-?\}\}`)
	localHost    = lazy(`^(?:localhost|127\.0\.0\.1|::1|.*\{\{.*)$`)
	// listedFiles is a loop over files that a lookup found, which is itself looked into.
	listedFiles = lazy(`^\{\{\s*(?:query|q)\(\s*['"](?:ansible\.builtin\.)?fileglob['"][^|]*\)\s*\}\}$`)
)

// refer takes note of a name by which a task, variable or template reads a file of the controller. What is found in
// the role, which counts whole, needs nothing more; what an expression decides makes everything count.
func (s *scanner) refer(name string, k usage) { s.referIn(name, k, k) }

// referIn is refer to a name that is looked up where files of another kind are.
func (s *scanner) referIn(name string, place, k usage) {
	name = roleDir().ReplaceAllLiteralString(strings.TrimSpace(name), s.role)
	name = playDir().ReplaceAllLiteralString(name, playbookMark)
	if literal, _, _ := strings.Cut(name, "{{"); strings.HasPrefix(literal, "/") || strings.HasPrefix(literal, "~") || strings.Contains(literal, "://") {
		return // not a file of the fleet
	}
	names, known := s.expand(name)
	if !known {
		s.facts.dynamic = true
		return
	}
	for _, name := range names {
		facts := false
		name = expression().ReplaceAllStringFunc(name, func(x string) string {
			if !factOnly().MatchString(x) {
				s.facts.dynamic = true
			}
			facts = true
			return "*"
		})
		if s.facts.dynamic || strings.Contains(name, "{%") {
			s.facts.dynamic = true
			return
		}
		own := s.own(name, place)
		if own && s.named != nil {
			*s.named = append(*s.named, s.alsoRead(name, place, k)...)
		}
		if facts || !own {
			s.mention(mention{word: name, needed: true, pattern: facts, inRole: own, kind: k})
		} else if s.also != "" && s.also != s.from {
			s.facts.paths = append(s.facts.paths, mention{from: s.also, word: name, kind: k})
		}
	}
}

// expand puts the items of the task's loop in place of {{ item }}. It is not known when the loop is not.
func (s *scanner) expand(name string) (names []string, known bool) {
	found := itemForm().FindStringSubmatch(name)
	if found == nil {
		return []string{name}, true
	}
	if s.loop == nil {
		return nil, false
	}
	if s.loop.Kind == yaml.ScalarNode { // files that a lookup lists
		return nil, true
	}
	for _, item := range s.loop.Content {
		item = resolveAlias(item)
		text, ok := item.Value, item.Kind == yaml.ScalarNode
		if key := found[1] + found[2]; key != "" {
			text, ok = "", false
			for k, v := range pairsOf(item) {
				if k == key {
					text, ok = v.Value, v.Kind == yaml.ScalarNode
				}
			}
		}
		if !ok || itemForm().MatchString(text) {
			return nil, false
		}
		one := strings.ReplaceAll(name, found[0], text)
		if itemForm().MatchString(one) {
			return nil, false
		}
		names = append(names, one)
	}
	return names, true
}

// loopOf gives what `item` is in a task: a list, or a scalar for files that a lookup finds; nil when it is not known.
func loopOf(task *yaml.Node) *yaml.Node {
	for key, value := range pairsOf(task) {
		switch key = builtin(key); {
		case key == "with_fileglob" || key == "with_first_found":
			return &yaml.Node{Kind: yaml.ScalarNode}
		case key != "loop" && key != "with_items" && key != "with_list":
		case value.Kind == yaml.SequenceNode:
			return value
		case value.Kind == yaml.ScalarNode && listedFiles().MatchString(value.Value):
			return value
		}
	}
	return nil
}

// task looks at one mapping that may be a task: which files of the controller its modules read.
func (s *scanner) task(n *yaml.Node) {
	s.use = useOf(n)
	for key, value := range pairsOf(n) {
		module := builtin(key)
		switch module {
		case "local_action", "with_lines", "with_ini", "with_csvfile", "with_pipe", "with_template", "with_unvault":
			s.facts.dynamic = true
		case "delegate_to":
			s.facts.dynamic = s.facts.dynamic || localHost().MatchString(value.Value)
		case "connection":
			s.facts.dynamic = s.facts.dynamic || value.Value == "local" || strings.Contains(value.Value, "{{")
		case "with_file":
			s.referAll(value, asData, asData)
		case "with_fileglob":
			s.referAll(value, asData, s.use)
		case "with_first_found":
			s.referAll(value, s.use, s.use)
		case "script":
			s.script(value)
		case "vars", "set_fact", "environment", "loop_control", "register", "when":
		default:
			s.source(module, value)
		}
	}
}

// source looks at the `src` of a module.
func (s *scanner) source(module string, args *yaml.Node) {
	remote := slices.Contains(remoteSource, module)
	if args.Kind == yaml.ScalarNode {
		m := inlineSource().FindStringSubmatch(args.Value)
		if m != nil && !remote && !inlineRemote().MatchString(args.Value) {
			s.refer(m[1]+m[2]+m[3], sourceKind(module))
		}
		return
	}
	var src *yaml.Node
	for key, value := range pairsOf(args) {
		switch key {
		case "src":
			src = value
		case "remote_src":
			yes := slices.Contains([]string{"yes", "true", "on", "1"}, strings.ToLower(value.Value))
			remote = yes || remote && module != "assemble"
		}
	}
	if src != nil && !remote {
		s.referAll(src, sourceKind(module), sourceKind(module))
	}
}

// sourceKind is what a module reads its `src` as.
func sourceKind(module string) usage {
	switch module {
	case "template", "win_template", "ansible.windows.win_template":
		return asTemplate
	case "copy", "unarchive", "script", "assemble", "patch", "synchronize", "ansible.posix.patch", "ansible.posix.synchronize",
		"win_copy", "ansible.windows.win_copy":
		return asData
	}
	return byName
}

// useOf is what a task reads the files as that its loop finds.
func useOf(task *yaml.Node) usage {
	for key := range pairsOf(task) {
		switch key = builtin(key); key {
		case "include_tasks", "import_tasks", "include":
			return asTasks
		case "include_vars":
			return asVars
		case "copy", "script", "unarchive":
			return asData
		default:
			if k := sourceKind(key); k == asTemplate {
				return k
			}
		}
	}
	return byName
}

// script takes the first word of a command line: the script.
func (s *scanner) script(n *yaml.Node) {
	if n.Kind == yaml.MappingNode {
		for key, value := range pairsOf(n) {
			if key == "cmd" || key == "_raw_params" {
				s.script(value)
			}
		}
		return
	}
	if strings.HasPrefix(strings.TrimSpace(n.Value), "{{") {
		s.refer(n.Value, asData)
		return
	}
	// A path that goes on after a space inside an expression is an expression still.
	if fields := strings.Fields(n.Value); len(fields) > 0 {
		s.refer(strings.Trim(fields[0], `"'`), asData)
		if strings.Contains(fields[0], "{{") && !strings.Contains(fields[0], "}}") {
			s.facts.dynamic = true
		}
	}
}

// referAll refers to every name in a scalar, a list, or the files and paths of first_found.
func (s *scanner) referAll(n *yaml.Node, place, k usage) {
	n = resolveAlias(n)
	switch n.Kind {
	case yaml.ScalarNode:
		if n.Value != "" {
			s.referIn(n.Value, place, k)
		}
	case yaml.SequenceNode:
		for _, item := range n.Content {
			s.referAll(item, place, k)
		}
	case yaml.MappingNode: // paths and files are combined: more than this follows
		for key, value := range pairsOf(n) {
			if key == "files" {
				s.referAll(value, place, k)
			}
			s.facts.dynamic = s.facts.dynamic || key == "paths"
		}
	}
}
