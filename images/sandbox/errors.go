package sandbox

import (
	"net/http"

	"github.com/imgops/imgops/images/sandbox/query"
)

// fail is an API error with status 400.
func fail(code, format string, args ...any) error { return query.Errorf(code, format, args...) }

func authFailure(message string) *query.Error {
	return query.Errorf("AuthFailure", "%s", message).WithStatus(http.StatusUnauthorized)
}

// errDryRun ends a request that would have succeeded: EC2 reports that as an error (ec2-facts 1.46).
var errDryRun = query.Errorf("DryRunOperation", "Request would have succeeded, but DryRun flag is set.").
	WithStatus(http.StatusPreconditionFailed)

func notFound(code, noun, id string) error {
	return fail(code, "The %s '%s' does not exist", noun, id)
}

func imageNotFound(id string) error {
	return fail("InvalidAMIID.NotFound", "The image id '[%s]' does not exist", id)
}

func instanceNotFound(id string) error {
	return fail("InvalidInstanceID.NotFound", "The instance ID '%s' does not exist", id)
}

func badParameter(value, name, want string) error {
	return fail("InvalidParameterValue", "Value (%s) for parameter %s is invalid. %s", value, name, want)
}

func missing(name string) error {
	return fail("MissingParameter", "The request must contain the parameter %s", name)
}

func combination(format string, args ...any) error {
	return fail("InvalidParameterCombination", format, args...)
}

func forbidden(format string, args ...any) error {
	return query.Errorf("UnauthorizedOperation", format, args...).WithStatus(http.StatusForbidden)
}
