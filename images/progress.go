package images

// Progress tells a person what is being done and what is being waited for. Implementations are safe for concurrent
// use. A nil Progress says nothing.
type Progress func(step, waitingFor string)

// Say reports a step; it does nothing on a nil Progress.
func (p Progress) Say(step, waitingFor string) {
	if p != nil {
		p(step, waitingFor)
	}
}
