package query

import (
	"fmt"
	"net/http"
)

// Error is an error as an AWS API reports it: a code that clients decide on, a message for people, an HTTP status.
type Error struct {
	Code    string
	Message string
	Status  int // HTTP; 400 for most
}

// Error is the code and the message.
func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Errorf makes an Error with HTTP status 400, which is what nearly all client errors of EC2, STS and SSM have.
func Errorf(code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...), Status: http.StatusBadRequest}
}

// WithStatus is the same error with another HTTP status.
func (e *Error) WithStatus(status int) *Error {
	return &Error{Code: e.Code, Message: e.Message, Status: status}
}

func unknownParameter(name string) *Error {
	return Errorf("UnknownParameter", "The parameter %s is not recognized", name)
}

func missingParameter(name string) *Error {
	return Errorf("MissingParameter", "The request must contain the parameter %s", name)
}

func badValue(value, name, want string) *Error {
	return Errorf("InvalidParameterValue", "Value (%s) for parameter %s is invalid. %s", value, name, want)
}
