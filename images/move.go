package images

import (
	"regexp"
	"strings"
	"sync"
)

// Move is why a pointer moved. It is kept as the pointer's description, of which SSM has one for each version.
type Move struct {
	Fleet, Role string
	Digest      string // recipe digest of the new default
	Commit      string // of main; of a rollback the fleet's commit at hand
	Run         string
	Rollback    bool
	Reason      string // of a rollback
}

// String is the description, at most 1024 characters (ssm API, PutParameter).
func (m Move) String() string {
	text := "imgops: default image of role "
	if m.Rollback {
		text = "imgops: rollback of role "
	}
	text += m.Role + " in fleet " + m.Fleet + ", digest " + m.Digest + ", main commit " + m.Commit
	if m.Run != "" {
		text += ", run " + MoveRun(m.Run)
	}
	if m.Rollback {
		text += ": " + strings.Join(strings.Fields(m.Reason), " ")
	}
	if r := []rune(text); len(r) > 1024 {
		text = string(r[:1024])
	}
	return text
}

// MoveRun is the name of a run as a description has it.
func MoveRun(run string) string { return strings.NewReplacer(" ", "-", ":", "-").Replace(run) }

var moveForm = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^imgops: (default image|rollback) of role ([^ ,]+) in fleet ([^ ,]+), digest ([^ ,]*), main commit ([^ ,:]*)(?:, run ([^ :]+))?(?:: (.*))?$`)
})

// ParseMove reads a description; ok is false for one that imgops did not write.
func ParseMove(description string) (m Move, ok bool) {
	f := moveForm().FindStringSubmatch(description)
	if f == nil {
		return Move{}, false
	}
	return Move{Rollback: f[1] == "rollback", Role: f[2], Fleet: f[3], Digest: f[4], Commit: f[5], Run: f[6], Reason: f[7]}, true
}
