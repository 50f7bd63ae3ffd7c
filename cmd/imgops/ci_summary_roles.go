package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/imgops/imgops/images"
)

// maxSummaryNames is how many roles or locations a line of a summary names.
const maxSummaryNames = 20

// outcomeRows is the table of the roles that something was done for, what went wrong first. Hundreds of roles that were left
// as they are would hide those: they are counted, and those that were skipped are named in a line.
func outcomeRows(outcomes []outcome) string {
	var b strings.Builder
	var rows []outcome
	var skipped, others []string
	unchanged := 0
	for _, o := range outcomes {
		if errors.Is(o.err, errOthersRefused) {
			others = append(others, o.Role)
			if o.Result == "skipped" {
				continue
			}
		}
		switch o.Result {
		case "unchanged":
			unchanged++
		case "skipped":
			skipped = append(skipped, o.Role)
		default:
			rows = append(rows, o)
		}
	}
	slices.SortStableFunc(rows, func(a, b outcome) int { return cmp.Compare(urgency(a), urgency(b)) })
	if len(rows) > 0 {
		b.WriteString("| Role | Result | Image | Seconds | Failed tests |\n|---|---|---|---:|---|\n")
		for _, o := range rows {
			fmt.Fprintf(&b, "| %s | %s | %s | %d | %s |\n", markdown(o.Role), o.Result, markdown(o.Image), o.Seconds, failedTests(o))
		}
		b.WriteString("\n")
	}
	if len(skipped) > 0 {
		fmt.Fprintf(&b, "Skipped, for a role that they are built on went wrong: %s\n\n", firstNames(skipped))
	}
	if len(others) > 0 {
		fmt.Fprintf(&b, "Not promoted, for the promotion of another role is refused: %s\n\n", firstNames(others))
	}
	if unchanged > 0 {
		fmt.Fprintf(&b, "Unchanged: %s\n\n", plural(unchanged, "role"))
	}
	return b.String()
}

func urgency(o outcome) int {
	if o.err != nil {
		return 0
	}
	return 1
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// firstNames lists the first of them, and counts the others.
func firstNames(list []string) string {
	text := make([]string, 0, maxSummaryNames+1)
	for _, n := range list[:min(len(list), maxSummaryNames)] {
		text = append(text, markdown(n))
	}
	if more := len(list) - maxSummaryNames; more > 0 {
		text = append(text, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(text, ", ")
}

// wayward gathers the defaults of a role that a person has to do something about.
type wayward struct {
	note   string
	places []string
}

// attention names the roles that are held, rejected or orphaned, and what to run about each. Orphans belong to no job of a
// pull request, of one role or of one level: only a run of all of main tells of them.
func (j *ciJob) attention() string {
	if j.found == nil {
		return ""
	}
	held, rejected, orphan := map[string]*wayward{}, map[string]*wayward{}, map[string]*wayward{}
	whole := j.promote && len(j.names) == 0 && j.level < 0
	defaults := j.found.defaults // of the roles of the job
	if whole {
		defaults = j.found.view.Defaults(j.query()) // of all, and of those that are gone, as they were read then
	}
	for _, d := range defaults {
		meant := j.found.decisions[d.Role].Role != ""
		switch {
		case d.Status == images.StatusOrphan && whole:
			gather(orphan, d)
		case d.Status == images.StatusHeld && meant:
			gather(held, d)
		case strings.HasPrefix(d.Note, "rejected: ") && meant:
			gather(rejected, d)
		}
	}
	var b strings.Builder
	for _, role := range slices.Sorted(maps.Keys(held)) {
		fmt.Fprintf(&b, "- **%s** is not promoted: %s. To let it go: `imgops release %s`\n", markdown(role), markdown(held[role].note), role)
	}
	for _, role := range slices.Sorted(maps.Keys(j.found.decisions)) {
		if d := j.found.decisions[role]; d.Rejected != "" {
			fmt.Fprintf(&b, "- **%s** is neither built nor promoted: its image %s is rejected: %s. What helps: %s\n",
				markdown(role), d.Image, markdown(d.Rejected), markdown(images.RejectedFix(role, d.Rejected)))
		}
	}
	for _, role := range slices.Sorted(maps.Keys(rejected)) {
		fmt.Fprintf(&b, "- **%s** has a default that is %s (%s). To take it back: `imgops rollback %s --reason TEXT`\n",
			markdown(role), markdown(rejected[role].note), firstNames(rejected[role].places), role)
	}
	for _, role := range slices.Sorted(maps.Keys(orphan)) {
		b.WriteString(j.orphanLine(role, orphan[role].places))
	}
	if b.Len() == 0 {
		return ""
	}
	return "#### For a person to decide\n\n" + b.String() + "\n"
}

func (j *ciJob) orphanLine(role string, places []string) string {
	if index(j.listed, role) >= 0 { // all roles of main
		return fmt.Sprintf("- **%s** is an orphan in %s: no target has it there any more. To take its images away from accounts that no target names: "+
			"`imgops promote %s --withdraw`\n", markdown(role), firstNames(places), role)
	}
	return fmt.Sprintf("- **%s** is an orphan: it is gone from main, and still the default in %s. To drop it: `imgops retire %s --reason TEXT`\n",
		markdown(role), firstNames(places), role)
}

func gather(into map[string]*wayward, d images.Default) {
	w := into[d.Role]
	if w == nil {
		w = &wayward{note: d.Note}
		into[d.Role] = w
	}
	w.places = append(w.places, d.Account+"/"+d.Region)
}
