package roles

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// Printable gives a name of the repository as it may stand in a message: with what is no printable character escaped as in
// a Go string. Git takes any byte but a slash and a zero into a name, and a newline or an escape sequence in one would else
// write lines of its own to a terminal, or commands to the log of a CI system ("::error::").
func Printable(name string) string {
	at := 0
	for at < len(name) && name[at] >= ' ' && name[at] < 0x7f {
		at++
	}
	if at == len(name) {
		return name
	}
	var b strings.Builder
	for rest := name; rest != ""; {
		r, size := utf8.DecodeRuneInString(rest)
		if char := rest[:size]; r != utf8.RuneError && strconv.IsPrint(r) {
			b.WriteString(char)
		} else {
			quoted := strconv.Quote(char)
			b.WriteString(quoted[1 : len(quoted)-1])
		}
		rest = rest[size:]
	}
	return b.String()
}

// shellWord gives a name as one word of a command that a message shows.
func shellWord(name string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_./-+=:,@%", r)
	}
	switch {
	case name != "" && strings.TrimFunc(name, plain) == "":
		return name
	case Printable(name) != name:
		return "$'" + strings.ReplaceAll(Printable(strings.ReplaceAll(name, `\`, `\\`)), "'", `\'`) + "'"
	}
	return "'" + strings.ReplaceAll(name, "'", `'\''`) + "'"
}
