package sandbox

// volumeKind is what a type of volume allows (ec2-facts 1.27, the reference of EbsBlockDevice): sizes in GiB, IOPS where they
// can be given, and IOPS for each GiB at most.
type volumeKind struct {
	leastGiB, mostGiB   int32
	leastIOPS, mostIOPS int32
	perGiB              int32
}

var volumeKinds = map[string]volumeKind{
	"gp3":      {1, 65536, 3000, 80000, 500},
	"gp2":      {1, 16384, 0, 0, 0},
	"io1":      {4, 16384, 100, 64000, 50},
	"io2":      {4, 65536, 100, 256000, 1000},
	"st1":      {125, 16384, 0, 0, 0},
	"sc1":      {125, 16384, 0, 0, 0},
	"standard": {1, 1024, 0, 0, 0},
}

const (
	usualIOPS, usualThroughput = 3000, 125 // of gp3
	mostThroughput             = 2000      // MiB/s
	iopsPerThroughput          = 4         // gp3 has 0.25 MiB/s for each provisioned IOPS at most
)

// checkVolume checks a volume whose size, type and defaults are decided.
func (d device) checkVolume() error {
	kind, known := volumeKinds[d.Type]
	switch {
	case !known:
		return badParameter(d.Type, "volumeType", "Valid values: gp2, gp3, io1, io2, st1, sc1, standard.")
	case d.SizeGiB < kind.leastGiB || d.SizeGiB > kind.mostGiB:
		return fail("InvalidParameterValue", "Volume of %dGiB is invalid for volume type %s. Specify a size from %d to %d GiB", d.SizeGiB, d.Type, kind.leastGiB, kind.mostGiB)
	case kind.mostIOPS == 0 && d.IOPS != 0:
		return combination("The parameter iops is not supported for %s volumes.", d.Type)
	case kind.mostIOPS != 0 && d.IOPS == 0:
		return missing("iops, for " + d.Type + " volumes")
	case d.IOPS < kind.leastIOPS || d.IOPS > kind.mostIOPS:
		return fail("InvalidParameterValue", "Volume iops of %d is invalid for volume type %s. Specify from %d to %d", d.IOPS, d.Type, kind.leastIOPS, kind.mostIOPS)
	case d.IOPS > usualIOPS && d.IOPS > kind.perGiB*d.SizeGiB, d.Type != "gp3" && d.IOPS > kind.perGiB*d.SizeGiB:
		return fail("InvalidParameterValue", "Iops to volume size ratio of %d to %d GiB is too high; the maximum of %s is %d for each GiB", d.IOPS, d.SizeGiB, d.Type, kind.perGiB)
	case d.Type != "gp3" && d.Throughput != 0:
		return combination("The parameter throughput is not supported for %s volumes.", d.Type)
	}
	return d.checkThroughput()
}

func (d device) checkThroughput() error {
	switch {
	case d.Type != "gp3":
		return nil
	case d.Throughput < usualThroughput || d.Throughput > mostThroughput:
		return fail("InvalidParameterValue", "Volume throughput of %d MiB/s is invalid. Specify from %d to %d MiB/s", d.Throughput, usualThroughput, mostThroughput)
	case d.Throughput*iopsPerThroughput > d.IOPS:
		return fail("InvalidParameterValue", "Throughput to iops ratio of %d MiB/s to %d is too high; the maximum is 0.25 MiB/s for each", d.Throughput, d.IOPS)
	}
	return nil
}

// checkInitialization is for the rate at which a volume is filled, which makes no difference here.
func checkInitialization(rate int32) error {
	if rate != 0 && (rate < 100 || rate > 300) {
		return badParameter(number(rate), "volumeInitializationRate", "Give 100 to 300 MiB/s.")
	}
	return nil
}
