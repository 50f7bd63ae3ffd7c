package verifier

import (
	"path/filepath"

	"github.com/imgops/imgops/images/machine"
)

// checkedSSH makes a directory for the front of PATH, with an ssh that checks the machine's host key: no setting of a test
// tool (such as testinfra's ssh_extra_args in a pytest.ini) switches that off.
func (s *suite) checkedSSH() (dir string, err error) {
	dir = absolute(filepath.Join(s.machineDir(), "bin"))
	return dir, machine.CheckedSSH(dir, machine.CheckedOptions(absolute(s.host.SSHConfig), absolute(s.host.KnownHosts)))
}
