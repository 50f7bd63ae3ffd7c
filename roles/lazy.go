package roles

import (
	"regexp"
	"sync"
)

// lazy compiles an expression on first use. There are dozens here, and a run that finds everything known needs few:
// compiling all of them at the start would take longer than reading Git's index.
func lazy(expression string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expression) })
}
