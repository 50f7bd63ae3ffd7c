package images

// Decide gives the decision for each of some roles, parents first: what Next says of the role by itself, and whether
// the roles that it is built on let it be done. It is the one place where that is decided: plan prints it, and whoever
// works does what it says. own are the images of the build location (see Taint), defaults what Defaults said; force
// names roles to be built whatever there is.
func Decide(wanted []Wanted, own []Image, defaults []Default, force map[string]bool) map[string]Decision {
	images, at := map[string][]Image{}, map[string][]Default{}
	for _, img := range own {
		images[img.Role] = append(images[img.Role], img)
	}
	for _, d := range defaults {
		at[d.Role] = append(at[d.Role], d)
	}
	decisions := make(map[string]Decision, len(wanted))
	for _, w := range wanted {
		d := Next(w, images[w.Role], at[w.Role])
		if force[w.Role] {
			d.Action, d.Reason, d.Rejected = ActionBuild, "asked for with --force", ""
		}
		if parent, ok := decisions[w.Parent]; ok {
			d = d.under(parent)
		}
		decisions[w.Role] = d
	}
	return decisions
}

// under is the decision for a role whose parent's is known. Nothing is done for a role below one that is rejected, for
// that one ends the run's work on its branch of the graph. Where a person holds the rejected role the work goes on, but
// for what would have to be built on it.
func (d Decision) under(parent Decision) Decision {
	d.Blocked = parent.Blocked
	if d.Blocked == nil && parent.Rejected != "" && (!parent.Held || d.Action == ActionBuild) {
		d.Blocked = &parent
	}
	if d.Blocked == nil || d.Action == ActionNone {
		return d
	}
	d.Action = ActionNone
	d.Reason = "skipped: role " + d.Blocked.Role + ", which it is built on, is " + d.Blocked.Reason
	return d
}
