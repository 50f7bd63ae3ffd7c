package baseimage

import "syscall"

// dieWithParent lets a killed maker take its programs with it.
func dieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
