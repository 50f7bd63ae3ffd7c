package sandbox

import "sync"

// lanes runs jobs in the background: those of one lane (an instance's id, an image's) one after the other in the order
// in which they came, those of different lanes side by side.
type lanes struct {
	mu     sync.Mutex
	wg     sync.WaitGroup
	queues map[string][]func()
	closed bool
}

// run adds the job to the lane. After close it does nothing: the row's state says what is left to do at the next start.
func (l *lanes) run(lane string, job func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	if l.queues == nil {
		l.queues = map[string][]func(){}
	}
	queue, busy := l.queues[lane]
	l.queues[lane] = append(queue, job)
	if !busy {
		l.wg.Go(func() { l.drain(lane) })
	}
}

func (l *lanes) drain(lane string) {
	for {
		l.mu.Lock()
		queue := l.queues[lane]
		if len(queue) == 0 || l.closed {
			delete(l.queues, lane)
			l.mu.Unlock()
			return
		}
		job := queue[0]
		l.queues[lane] = queue[1:]
		l.mu.Unlock()
		job()
	}
}

// close waits for the jobs that run and drops those that wait.
func (l *lanes) close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.wg.Wait()
}
