package main

import (
	"fmt"
	"slices"
	"strings"
)

// jenkinsLine is how many roles a line of the script has: a text of a class file may have 65,535 bytes.
const jenkinsLine = 50

// jenkins is a scripted Pipeline for the step load, which gives something to call with a closure: what to do on each agent
// with the command of a role. What an agent needs before (imgops itself, a container, credentials) the Jenkinsfile knows.
// There is a stage per level with a parallel branch per role; the next level begins also when a role has failed, since a role
// whose parent has failed says so itself. The roles are texts in a loop, since a method of hundreds of closures, or of lists,
// is too large for the JVM.
func (f fan) jenkins() ([]byte, error) {
	var b strings.Builder
	b.WriteString(`// Made by imgops ci --matrix jenkins. In a script step: def fanOut = load 'FILE'; fanOut.call { command -> sh command }
// The closure runs once per role, after the checkout, on an agent with the label env.IMGOPS_AGENT.
def call(Closure body) {
    def levels = [
`)
	for _, l := range f.levels {
		fmt.Fprintf(&b, "        [level: %d, roles: [\n", l.Level)
		for i := 0; i < len(l.Jobs); i += jenkinsLine {
			var names []string
			for _, j := range l.Jobs[i:min(i+jenkinsLine, len(l.Jobs))] {
				names = append(names, j.Role)
			}
			fmt.Fprintf(&b, "            %s,\n", groovy(strings.Join(names, " ")))
		}
		b.WriteString("        ]],\n")
	}
	before, after := shellWords(append(slices.Clone(f.before), "ci", "--role"))+" ", ""
	if len(f.after) > 0 {
		after = " " + shellWords(f.after)
	}
	fmt.Fprintf(&b, `    ]
    for (int i = 0; i < levels.size(); i++) {
        int level = levels[i].level
        def branches = [:]
        for (int k = 0; k < levels[i].roles.size(); k++) {
            String[] names = levels[i].roles[k].split(' ')
            for (int n = 0; n < names.length; n++) {
                String role = names[n]
                branches[role] = {
                    catchError(buildResult: 'FAILURE', stageResult: 'FAILURE') {
                        node(env.IMGOPS_AGENT ?: '') {
                            checkout scm
                            body.call(%s + role + ' --level ' + level + %s)
                        }
                    }
                }
            }
        }
        stage("imgops level ${level}") {
            parallel branches
        }
    }
}
return this
`, groovy(before), groovy(after))
	return []byte(b.String()), nil
}

// groovy is a Groovy string without interpolation.
func groovy(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`, "\n", `\n`).Replace(s) + "'"
}
