package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Jenkins' own linter runs inside a Jenkins. What is here is the structure that it wants of a declarative Pipeline
// (https://www.jenkins.io/doc/book/pipeline/syntax/); TestJenkinsFanOutRuns lets Groovy parse the file, where it is installed.

// groovyBlock is what is between two braces: the statements, of which some have a block of their own.
type groovyBlock struct {
	text   string // the statement before the brace, or the whole one, without what texts say
	blocks []*groovyBlock
	braces bool
}

// name is the first word of a statement.
func (b *groovyBlock) name() string { return regexp.MustCompile(`^\w*`).FindString(b.text) }

var groovyToken = regexp.MustCompile(`(?s)//[^\n]*|'''.*?'''|""".*?"""|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|[{}\n;()\[\]]|[^'"/{}\n;()\[\]]+|.`)

// parseGroovy finds the blocks of a script. Braces inside of parentheses (closures as arguments) belong to their statement.
func parseGroovy(script string) (*groovyBlock, error) {
	stack := []*groovyBlock{{braces: true}}
	depth, statement := 0, ""
	end := func() {
		if text := strings.TrimSpace(statement); text != "" {
			top := stack[len(stack)-1]
			top.blocks = append(top.blocks, &groovyBlock{text: text})
		}
		statement = ""
	}
	for _, token := range groovyToken.FindAllString(script, -1) {
		switch {
		case strings.HasPrefix(token, "//"):
		case strings.ContainsAny(token[:1], `'"`) && len(token) > 1:
			statement += "''"
		case token == "(" || token == "[":
			depth++
			statement += token
		case token == ")" || token == "]":
			depth--
			statement += token
		case depth > 0 || !strings.ContainsAny(token, "{}\n;"):
			statement += token
		case token == "{":
			top, next := stack[len(stack)-1], &groovyBlock{text: strings.TrimSpace(statement), braces: true}
			top.blocks, stack, statement = append(top.blocks, next), append(stack, next), ""
		case token == "}":
			end()
			if stack = stack[:len(stack)-1]; len(stack) == 0 {
				return nil, fmt.Errorf("a brace too many")
			}
		default:
			end()
		}
		if depth < 0 {
			return nil, fmt.Errorf("a parenthesis too many: %s", statement)
		}
	}
	end()
	if len(stack) != 1 || depth != 0 {
		return nil, fmt.Errorf("a bracket is not closed")
	}
	return stack[0], nil
}

// What may be in a section: "+" wants it, "=" is one of which there has to be one.
var jenkinsSections = map[string]string{
	"pipeline": "+agent +stages environment options parameters tools triggers libraries post",
	"stages":   "+stage",
	"stage":    "=steps =stages =parallel =matrix agent environment options tools input when post failFast",
	"when": "branch buildingTag changelog changeset changeRequest environment equals expression tag not allOf anyOf triggeredBy " +
		"beforeAgent beforeInput beforeOptions",
	"not":    "branch buildingTag changelog changeset changeRequest environment equals expression tag not allOf anyOf triggeredBy",
	"post":   "always changed fixed regression aborted failure success unstable unsuccessful cleanup",
	"agent":  "any none label docker dockerfile node kubernetes",
	"docker": "+image label args registryUrl registryCredentialsId reuseNode customWorkspace alwaysPull",
	"options": "timeout buildDiscarder disableConcurrentBuilds preserveStashes quietPeriod retry skipDefaultCheckout " +
		"skipStagesAfterUnstable timestamps parallelsAlwaysFailFast durabilityHint disableResume newContainerPerStage",
}

// checkJenkins says what is wrong in a section and below it.
func checkJenkins(name string, b *groovyBlock) error {
	if !b.braces || len(b.blocks) == 0 {
		return fmt.Errorf("%s: nothing in it", name)
	}
	allowed, known := jenkinsSections[name]
	if !known { // steps, environment
		return nil
	}
	words, count, ones := strings.Fields(allowed), map[string]int{}, 0
	for _, child := range b.blocks {
		key := child.name()
		count[key]++
		i := slices.IndexFunc(words, func(w string) bool { return strings.TrimLeft(w, "+=") == key })
		switch {
		case i < 0:
			return fmt.Errorf("%s: %q is not known here", name, child.text)
		case count[key] > 1 && key != "stage":
			return fmt.Errorf("%s: %s twice", name, key)
		case words[i][0] == '=':
			ones++
		}
		if _, section := jenkinsSections[key]; child.braces || section && key != "agent" {
			if err := checkJenkins(key, child); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	for _, w := range words {
		if w[0] == '+' && count[w[1:]] == 0 {
			return fmt.Errorf("%s: no %s", name, w[1:])
		}
	}
	if strings.Contains(allowed, "=") && ones != 1 {
		return fmt.Errorf("%s: %d of steps, stages, parallel and matrix, not one", b.text, ones)
	}
	return nil
}

func lintJenkinsfile(file string) error {
	script, err := parseGroovy(file)
	if err != nil {
		return err
	}
	var pipelines []*groovyBlock
	for _, b := range script.blocks {
		if b.text == "pipeline" && b.braces {
			pipelines = append(pipelines, b)
		}
	}
	if len(pipelines) != 1 {
		return fmt.Errorf("%d pipelines, not one", len(pipelines))
	}
	return checkJenkins("pipeline", pipelines[0])
}

// fannedJenkinsfile is the Jenkinsfile with the fan-out that its comment tells of.
func fannedJenkinsfile(t *testing.T, file string) string {
	t.Helper()
	var steps []string
	_, told, _ := strings.Cut(file, "// Hundreds of roles")
	for line := range strings.Lines(told) {
		if rest, ok := strings.CutPrefix(line, "//   "); ok {
			steps = append(steps, strings.TrimRight(rest, "\n"))
		}
	}
	require.Greater(t, len(steps), 5)
	require.Contains(t, steps[0], "--matrix jenkins")
	const step = "sh 'imgops ci --summary .imgops/summary.md'"
	require.Equal(t, 1, strings.Count(file, step))
	return strings.Replace(file, step, strings.Join(steps, "\n"), 1)
}

func TestJenkinsfile(t *testing.T) {
	for _, image := range []string{"", "registry.example.com/imgops:1.2"} {
		file := rendered(t, "jenkins", image)["Jenkinsfile"]
		require.NoError(t, lintJenkinsfile(file))
		require.NoError(t, lintJenkinsfile(fannedJenkinsfile(t, file)))
		require.Contains(t, file, "abortPrevious: env.BRANCH_NAME != 'main'")
		require.Regexp(t, `when \{ not \{ triggeredBy 'TimerTrigger' \} \}\s+steps \{\s+withCredentials[^\n]+\s+sh 'imgops ci `, file)
		require.Regexp(t, `withCredentials\(\[gitUsernamePassword[^\n]+\s+sh 'git fetch -q origin \+refs/heads/main:refs/remotes/origin/main'`, file)
		for _, broken := range [][2]string{
			{"pipeline {", "pipelines {"}, {"    agent {", "    agents {"}, {"    stages {", "    stage {"}, {"            steps {", "            step {"},
			{"post {\n                always {", "post {\n                allways {"}, {"when { not {", "when { nott {"},
			{"triggeredBy 'TimerTrigger' }", "trigeredBy 'TimerTrigger' }"}, {"timeout(", "timeouts("}, {"    }\n    stages {", "    stages {"},
			{"disableConcurrentBuilds(", "disableConcurrentBuilds(("}, {"            steps {", "            steps {}\n            parallel {"},
			{"    options {", "    agent any\n    options {"}, {"stage('imgops ci') {", "stages('imgops ci') {"},
		} {
			text := strings.Replace(file, broken[0], broken[1], 1)
			require.NotEqual(t, file, text, broken[0])
			require.Error(t, lintJenkinsfile(text), "%q instead of %q is accepted", broken[1], broken[0])
		}
	}
	require.Contains(t, rendered(t, "jenkins", "")["Jenkinsfile"], "agent { label 'imgops' }")
}
