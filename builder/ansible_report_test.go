package builder

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// What ansible-core 2.14 wrote, shortened.
var ansibleOutputs = map[string]struct {
	text, task, message string
}{
	"rescued, ignored, then failed": {
		text: `
TASK [Fails but is rescued] ****************************************************
fatal: [machine]: FAILED! => {"changed": true, "cmd": ["false"], "msg": "non-zero return code", "rc": 1, "stderr": "", "stdout": ""}

TASK [Ignored] *****************************************************************
fatal: [machine]: FAILED! => {"changed": true, "cmd": ["false"], "msg": "non-zero return code", "rc": 1}
...ignoring

TASK [Write the config] ********************************************************
fatal: [machine]: FAILED! => {"changed": true, "msg": "non-zero return code", "rc": 4, "stderr": "it went wrong", "stdout": "out"}

PLAY RECAP *********************************************************************
machine                    : ok=3    changed=1    unreachable=0    failed=1    skipped=0    rescued=1    ignored=2
`,
		task: "Write the config", message: "non-zero return code\nit went wrong\nout",
	},
	"a loop": {
		text: `TASK [web : Install things] ****************************************************
failed: [machine] (item=a) => {"ansible_loop_var": "item", "cmd": "cmd-a", "item": "a", "msg": "[Errno 2] No such file or directory: b'cmd-a'"}
failed: [machine] (item=b) => {"ansible_loop_var": "item", "cmd": "cmd-b", "item": "b", "msg": "[Errno 2] No such file or directory: b'cmd-b'"}
`,
		task: "web : Install things", message: "(item=a) [Errno 2] No such file or directory: b'cmd-a'",
	},
	"an ignored loop": {
		text: `TASK [A] ***
failed: [machine] (item=a) => {"msg": "a"}
failed: [machine] (item=b) => {"msg": "b"}
...ignoring
ERROR! out of disk
`,
		message: "out of disk",
	},
	"a handler": {
		text: "RUNNING HANDLER [web : restart nginx] *****\nfatal: [machine]: FAILED! => {\"msg\": \"Unable to start service nginx\"}\n",
		task: "web : restart nginx", message: "Unable to start service nginx",
	},
	"delegated": {
		text: "TASK [x] ***\nfatal: [machine -> localhost]: FAILED! => {\"msg\": \"no\"}\n", task: "x", message: "no",
	},
	"unreachable": {
		text: "TASK [Gathering Facts] ****\nfatal: [machine]: UNREACHABLE! => {\"changed\": false, \"msg\": \"Failed to connect\", \"unreachable\": true}\n",
		task: "Gathering Facts", message: "Failed to connect",
	},
	"secret": {
		text: "TASK [x] ***\nfatal: [machine]: FAILED! => {\"censored\": \"the output has been hidden\", \"changed\": true}\n",
		task: "x", message: "the output has been hidden",
	},
	"the yaml callback": {
		text: "TASK [Write] ****\nfatal: [machine]: FAILED! => changed=true\n  cmd: x\n  msg: non-zero return code\n  rc: 4\n\nPLAY RECAP ****\nmachine : ok=0\n",
		task: "Write", message: "changed=true\n  cmd: x\n  msg: non-zero return code\n  rc: 4",
	},
	"no task": {
		text: `ERROR! the role 'nope' was not found in /f/roles

The error appears to be in '/f/q.yml': line 2, column 11, but may
be elsewhere in the file depending on the exact syntax problem.
`,
		message: "the role 'nope' was not found in /f/roles\n" +
			"The error appears to be in '/f/q.yml': line 2, column 11, but may\nbe elsewhere in the file depending on the exact syntax problem.",
	},
	"ansible-core 2.19": {text: "[ERROR]: the playbook: x.yml could not be found\n", message: "the playbook: x.yml could not be found"},
	"nothing failed":    {text: "TASK [x] ***\nok: [machine]\n"},
}

func TestReport(t *testing.T) {
	for name, tt := range ansibleOutputs {
		t.Run(name, func(t *testing.T) {
			for _, size := range []int{1, 7, len(tt.text)} {
				var r report
				for text := tt.text; text != ""; {
					n := min(size, len(text))
					_, err := r.Write([]byte(text[:n]))
					require.NoError(t, err)
					text = text[n:]
				}
				task, message := r.failure()
				require.Equal(t, tt.task, task)
				require.Equal(t, tt.message, message)
				require.False(t, r.ranNothing())
			}
		})
	}
}

func TestReportTellsTasksAndEmptyRuns(t *testing.T) {
	var tasks []string
	r := &report{task: func(name string) { tasks = append(tasks, name) }}
	_, _ = r.Write([]byte("PLAY [a] ***\nskipping: no hosts matched\n"))
	require.True(t, r.ranNothing())
	_, _ = r.Write([]byte("PLAY [b] ***\n\nTASK [Gathering Facts] ***\r\nok: [machine]\n"))
	require.False(t, r.ranNothing())
	require.Equal(t, []string{"Gathering Facts"}, tasks)
}

func TestLongMessageIsCut(t *testing.T) {
	_, message := func() (string, string) {
		var r report
		_, _ = r.Write([]byte("TASK [x] ***\nfatal: [machine]: FAILED! => {\"msg\": \"" + strings.Repeat(`line\n`, 500) + "\"}\n"))
		return r.failure()
	}()
	require.Len(t, strings.Split(message, "\n"), messageLines+1)
}

func FuzzReport(f *testing.F) {
	for _, tt := range ansibleOutputs {
		f.Add(tt.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var r report
		n, err := r.Write([]byte(text))
		require.NoError(t, err)
		require.Equal(t, len(text), n)
		task, message := r.failure()
		require.LessOrEqual(t, strings.Count(message, "\n"), messageLines)
		if utf8.ValidString(text) {
			require.Contains(t, text, task)
		}
	})
}
