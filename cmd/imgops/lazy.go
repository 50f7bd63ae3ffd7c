package main

import (
	"regexp"
	"sync"
)

// lazy compiles an expression on first use: most commands need none of these, and every start would wait for all.
func lazy(expression string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(expression) })
}
