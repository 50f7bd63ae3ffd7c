package main

import (
	"github.com/spf13/pflag"

	"github.com/imgops/imgops/images/sandbox"
)

// conditionOptions are the flags that make the sandbox as hard to live with as AWS.
type conditionOptions struct {
	latency, consistency, throttle string
	faults                         []string
	seed                           uint64
}

func (o *conditionOptions) addFlags(f *pflag.FlagSet) {
	f.StringVar(&o.latency, "latency", "", "take the time that AWS takes, times a factor: `aws[:FACTOR]`")
	f.StringVar(&o.consistency, "consistency", "", "let reads lag behind and pages come empty as on AWS; the lag times a factor: `aws[:FACTOR]`")
	f.StringVar(&o.throttle, "throttle", "", "refuse calls that come too fast, by the limits of `aws`")
	f.StringArrayVar(&o.faults, "fault", nil, "let calls go wrong by a `RULE`, which can be repeated: "+sandbox.FaultSyntax+"\n")
	f.Uint64Var(&o.seed, "seed", 1, "the `number` from which latencies, lags and faults are drawn: the same one gives the same again")
}

// parse checks the flags before anything is started.
func (o *conditionOptions) parse() (sandbox.Conditions, error) {
	c, err := sandbox.ParseConditions(o.latency, o.consistency, o.throttle, o.faults, o.seed)
	if err != nil {
		return c, &usageError{err: err}
	}
	return c, nil
}
