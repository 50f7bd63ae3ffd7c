package sandbox

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/imgops/imgops/images/sandbox/query"
)

// serveJSON answers SSM and KMS.
func (c *Cloud) serveJSON(w http.ResponseWriter, r *http.Request, s scope, body []byte, requestID string) {
	action, answer, err := c.runJSON(r, s, body, requestID)
	if errors.Is(err, errLost) {
		c.drop(w, action, requestID)
		return
	}
	var out []byte
	if err == nil {
		out, err = json.Marshal(answer)
	}
	if err != nil {
		e := query.AsError(err)
		c.logFailure(action, requestID, e)
		writeJSON(w, requestID, e.Status, jsonError(e))
		return
	}
	writeJSON(w, requestID, http.StatusOK, out)
}

func (c *Cloud) runJSON(r *http.Request, s scope, body []byte, requestID string) (string, any, error) {
	service, action, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	who, err := c.admit(r, "ssm", s, body) // KMS refuses a caller in the same words
	if err != nil {
		return action, nil, err
	}
	if service == "" {
		return "", nil, fail("UnknownOperationException", "Requests of %s are JSON documents, and the header X-Amz-Target names the action (as in AmazonSSM.GetParameter or "+
			"TrentService.ListKeys); this request has no such header, and its body is %s", s.Service, cmp.Or(r.Header.Get("Content-Type"), "of no type"))
	}
	do, known := jsonServices[jsonTargets[service]][action]
	switch {
	case !known && here(s.Service):
		return action, nil, fail("UnknownOperationException", "The action %s is not in this sandbox", r.Header.Get("X-Amz-Target"))
	case !known:
		return action, nil, fail("UnknownOperationException", "The action %s of service %s is not in this sandbox, which has %s", r.Header.Get("X-Amz-Target"), s.Service, services)
	}
	answer, err := c.perform(c.newCall(r, who, s, action, requestID), do, func(in any) error { return decodeJSON(body, in) })
	return action, answer, err
}

// decodeJSON is strict: a parameter that would be ignored is refused.
func decodeJSON(body []byte, in any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	err := d.Decode(in)
	var wrongType *json.UnmarshalTypeError
	switch {
	case err == nil || errors.Is(err, io.EOF):
		return nil
	case errors.As(err, &wrongType):
		return fail("SerializationException", "%s cannot be a %s", wrongType.Field, wrongType.Value)
	case strings.HasPrefix(err.Error(), "json: unknown field"):
		return fail("ValidationException", "Unknown parameter%s", strings.TrimPrefix(err.Error(), "json: unknown field"))
	}
	return fail("SerializationException", "The request's body is not valid JSON: %v", err)
}

func jsonError(e *query.Error) []byte {
	out, err := json.Marshal(map[string]string{"__type": e.Code, "message": e.Message})
	if err != nil { // two strings in a map
		return nil
	}
	return out
}

func writeJSON(w http.ResponseWriter, requestID string, status int, body []byte) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.Header().Set("X-Amzn-Requestid", requestID)
	w.WriteHeader(status)
	_, _ = w.Write(body)
}
