package sandbox

import (
	"regexp"
	"sync"
)

// lazy compiles an expression on first use: imgops carries the sandbox along in every run, and most runs do not serve one.
func lazy(expression string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expression) })
}
