package sandbox

import (
	"context"
	"net/url"
	"time"

	"github.com/imgops/imgops/images/sandbox/state"
)

// call is one request on its way through a handler.
type call struct {
	*Cloud
	place     // of the caller
	who       identity
	ctx       context.Context
	tx        *state.Tx
	now       time.Time
	requestID string
	service   string
	action    string
	params    url.Values // of the services with a query protocol
	dryRun    bool
	later     []func()
	lag       time.Duration // how old the state is that the call sees
	fate      *reason       // how a fault rule will have it end what the call makes
	forEBS    bool          // KMS is asked on behalf of EBS
}

// after has fn run when the request's writes are on file; it never runs when the request fails.
func (q *call) after(fn func()) { q.later = append(q.later, fn) }

// at is the same call in another Region of the same account.
func (q *call) at(region string) *call {
	other := *q
	other.Region = region
	return &other
}

// action is one entry of a table: how to run a request whose parameters decode fills in.
type action struct {
	run func(q *call, decode func(any) error) (any, error)
}

// reads makes an action of a handler that changes nothing.
func reads[I, O any](handler func(*call, *I) (*O, error)) action {
	return action{func(q *call, decode func(any) error) (any, error) {
		return serve(q, decode, handler, q.store.View)
	}}
}

// writes makes an action of a handler whose staged writes are stored when it returns no error.
func writes[I, O any](handler func(*call, *I) (*O, error)) action {
	return action{func(q *call, decode func(any) error) (any, error) {
		return serve(q, decode, handler, q.store.Update)
	}}
}

func serve[I, O any](q *call, decode func(any) error, handler func(*call, *I) (*O, error),
	transaction func(func(*state.Tx) error) error) (any, error) {
	in, out := new(I), (*O)(nil)
	if err := decode(in); err != nil {
		return nil, err
	}
	err := transaction(func(tx *state.Tx) error {
		q.tx = tx
		var err error
		if out, err = handler(q, in); err == nil && q.dryRun {
			err = errDryRun
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, fn := range q.later {
		fn()
	}
	return out, nil
}

// done is the answer of calls that have nothing to tell.
type done struct {
	Return bool `xml:"return"`
}

var success = &done{Return: true}

// timestamp is a time as EC2 writes it; the zero time is empty.
func timestamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}
