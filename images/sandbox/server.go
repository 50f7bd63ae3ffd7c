package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/imgops/imgops/images/sandbox/query"
	"github.com/imgops/imgops/images/sandbox/state"
)

const maxBody = 1 << 20

// Handler is the cloud's HTTP face: every service and Region at one address.
func (c *Cloud) Handler() http.Handler { return http.HandlerFunc(c.serveHTTP) }

func (c *Cloud) serveHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == statusPath {
		c.serveStatus(w, r)
		return
	}
	requestID := newUUID()
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		err := query.Errorf("RequestEntityTooLarge", "the request's body could not be read or is larger than %d bytes: %v", maxBody, err)
		writeXML(w, requestID, http.StatusRequestEntityTooLarge, errorXML("ec2", query.AsError(err), requestID))
		return
	}
	s, signed := parseScope(r.Header.Get("Authorization"))
	service := s.Service
	if !signed {
		service = guessService(r)
	}
	if jsonServices[service] != nil || r.Header.Get("X-Amz-Target") != "" {
		c.serveJSON(w, r, s, body, requestID)
		return
	}
	c.serveQuery(w, r, service, s, body, requestID)
}

// guessService is for requests without a signature, whose refusal should still have the form that their sender expects.
func guessService(r *http.Request) string {
	target, _, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	if service, ok := jsonTargets[target]; ok {
		return service
	}
	return "ec2"
}

// admit finds out who calls and has the place's default network exist.
func (c *Cloud) admit(r *http.Request, service string, s scope, body []byte) (identity, error) {
	who, fault := identity{}, faultMissing
	if s.Signature != "" {
		who, fault = c.authenticate(r, s, body)
	}
	if fault != faultNone {
		return who, authError(service, fault, s.Region)
	}
	return who, c.ensureLocation(place{who.Account, s.Region})
}

func (c *Cloud) newCall(r *http.Request, who identity, s scope, action, requestID string) *call {
	return &call{Cloud: c, place: place{who.Account, s.Region}, who: who, ctx: r.Context(), now: c.clock().UTC(),
		requestID: requestID, service: s.Service, action: action}
}

// serveQuery answers EC2 and STS.
func (c *Cloud) serveQuery(w http.ResponseWriter, r *http.Request, service string, s scope, body []byte, requestID string) {
	action, answer, err := c.runQuery(r, service, s, body, requestID)
	encode := query.EC2Answer
	if service == "sts" {
		encode = query.STSAnswer
	}
	var out []byte
	if err == nil {
		out, err = encode(action, requestID, answer)
	}
	if errors.Is(err, errLost) {
		c.drop(w, action, requestID)
		return
	}
	if err != nil {
		e := query.AsError(err)
		c.logFailure(action, requestID, e)
		writeXML(w, requestID, e.Status, errorXML(service, e, requestID))
		return
	}
	writeXML(w, requestID, http.StatusOK, out)
}

func (c *Cloud) runQuery(r *http.Request, service string, s scope, body []byte, requestID string) (string, any, error) {
	params, err := formParams(r, body)
	if err != nil {
		return "", nil, err
	}
	action := params.Get("Action")
	table, known := queryServices[service]
	if !known {
		return action, nil, fail("InvalidAction", "The action %s of service %s is not in this sandbox, which has ec2, ssm, sts and kms", action, service)
	}
	who, err := c.admit(r, service, s, body)
	if err != nil {
		return action, nil, err
	}
	do, known := table[action]
	if !known {
		return action, nil, fail("InvalidAction", "The action %s is not valid for this web service", action)
	}
	q := c.newCall(r, who, s, action, requestID)
	q.dryRun = strings.EqualFold(params.Get("DryRun"), "true")
	for _, common := range []string{"Action", "Version", "DryRun"} {
		params.Del(common)
	}
	q.params = params
	answer, err := c.perform(q, do, func(in any) error { return query.Decode(params, in) })
	return action, answer, err
}

// formParams are the parameters of body and URL together.
func formParams(r *http.Request, body []byte) (url.Values, error) {
	params, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, fail("MalformedQueryString", "The request's body is not a form: %v", err)
	}
	inURL, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, fail("MalformedQueryString", "The request's query string cannot be read: %v", err)
	}
	for name, values := range inURL {
		params[name] = append(params[name], values...)
	}
	if params.Get("Action") == "" {
		return nil, fail("MissingAction", "The request must contain the parameter Action")
	}
	return params, nil
}

// serveJSON answers SSM and KMS.
func (c *Cloud) serveJSON(w http.ResponseWriter, r *http.Request, s scope, body []byte, requestID string) {
	action, answer, err := c.runJSON(r, s, body, requestID)
	status := http.StatusOK
	if errors.Is(err, errLost) {
		c.drop(w, action, requestID)
		return
	}
	if err != nil {
		e := query.AsError(err)
		c.logFailure(action, requestID, e)
		answer, status = map[string]string{"__type": e.Code, "message": e.Message}, e.Status
	}
	out, err := json.Marshal(answer)
	if err != nil {
		c.log.Error("the sandbox could not encode an answer", "action", action, "error", err)
		status = http.StatusInternalServerError
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.Header().Set("Content-Length", strconv.Itoa(len(out)))
	w.Header().Set("X-Amzn-Requestid", requestID)
	w.WriteHeader(status)
	_, _ = w.Write(out)
}

func (c *Cloud) runJSON(r *http.Request, s scope, body []byte, requestID string) (string, any, error) {
	service, action, _ := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	who, err := c.admit(r, "ssm", s, body) // KMS refuses a caller in the same words
	if err != nil {
		return action, nil, err
	}
	do, known := jsonServices[jsonTargets[service]][action]
	if !known {
		return action, nil, fail("UnknownOperationException", "The action %s is not in this sandbox", r.Header.Get("X-Amz-Target"))
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

func (c *Cloud) logFailure(action, requestID string, e *query.Error) {
	level := c.log.Debug
	if e.Status >= http.StatusInternalServerError {
		level = c.log.Error
	}
	level("the sandbox refused a request", "action", action, "code", e.Code, "message", e.Message, "request", requestID)
}

func errorXML(service string, e *query.Error, requestID string) []byte {
	encode := query.EC2Error
	if service == "sts" {
		encode = query.STSError
	}
	out, err := encode(e, requestID)
	if err != nil { // two strings in a struct
		return nil
	}
	return out
}

func writeXML(w http.ResponseWriter, requestID string, status int, body []byte) {
	w.Header().Set("Content-Type", "text/xml;charset=UTF-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.Header().Set("X-Amzn-Requestid", requestID)
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// ensureLocation records that the account is used in the Region, and makes its default security group.
func (c *Cloud) ensureLocation(p place) error {
	if _, known := view(c, c.locations, p.key()); known {
		return nil
	}
	return c.store.Update(func(tx *state.Tx) error {
		if _, known := c.locations.Get(tx, p.key()); known {
			return nil
		}
		c.locations.Put(tx, p.key(), locationRow{p, c.clock().UTC()})
		group := defaultGroup(p)
		c.groups.Put(tx, group.ID, group)
		return nil
	})
}
