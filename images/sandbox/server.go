package sandbox

import (
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
	s, signed := requestScope(r)
	service := s.Service
	if host, known := endpointOf(r.Host); known && here(host.Service) {
		service = host.Service
	} else if !signed {
		service = guessService(r)
	}
	if service == "s3" {
		c.serveS3(w, r, s)
		return
	}
	requestID := newUUID()
	isJSON := jsonServices[service] != nil || r.Header.Get("X-Amz-Target") != ""
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	switch {
	case err != nil:
		refuseBody(w, service, isJSON, requestID, err)
	case !here(service) && speaksREST(r):
		refuseREST(w, service, requestID)
	case isJSON:
		c.serveJSON(w, r, s, body, requestID)
	default:
		c.serveQuery(w, r, service, s, body, requestID)
	}
}

// refuseBody answers a request whose body is too large or broke off, in the form of its service.
func refuseBody(w http.ResponseWriter, service string, isJSON bool, requestID string, cause error) {
	e := query.Errorf("RequestBodyUnreadable", "The request's body could not be read to its end: %v", cause).WithStatus(http.StatusBadRequest)
	var tooLarge *http.MaxBytesError
	if errors.As(cause, &tooLarge) {
		e = query.Errorf("RequestEntityTooLarge", "The request's body is larger than %d bytes", maxBody).WithStatus(http.StatusRequestEntityTooLarge)
	}
	if !isJSON {
		writeXML(w, requestID, e.Status, errorXML(service, e, requestID))
		return
	}
	writeJSON(w, requestID, e.Status, jsonError(e))
}

// speaksREST says of a request to a service that is not here whether its protocol is one whose calls are paths.
func speaksREST(r *http.Request) bool {
	return r.Header.Get("X-Amz-Target") == "" && !strings.Contains(r.URL.RawQuery, "Action=") &&
		!strings.HasPrefix(r.Header.Get("Content-Type"), "application/x-www-form-urlencoded")
}

// refuseREST is the refusal of a service that is not here, in the form that clients of REST protocols read: the code is in a header.
func refuseREST(w http.ResponseWriter, service, requestID string) {
	e := query.Errorf("UnknownOperationException", "The service %s is not in this sandbox, which has %s", service, services)
	w.Header().Set("X-Amzn-Errortype", e.Code)
	writeJSON(w, requestID, http.StatusBadRequest, jsonError(e))
}

// services are those that are here, as a refusal names them.
const services = "ec2, s3, ssm, sts and kms"

// guessService is for requests without a signature, whose refusal should still have the form that their sender expects.
func guessService(r *http.Request) string {
	if host, ok := endpointOf(r.Host); ok {
		return host.Service
	}
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
	action, dryRun, err := common(params)
	if err != nil {
		return action, nil, err
	}
	table, known := queryServices[service]
	if !known {
		return action, nil, fail("InvalidAction", "The action %s of service %s is not in this sandbox, which has %s", action, service, services)
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
	q.dryRun, q.params = dryRun, params
	answer, err := c.perform(q, do, func(in any) error { return query.Decode(params, in) })
	return action, answer, err
}

// common takes the parameters that all actions have out of params: the action's name, and whether nothing is to be done.
func common(params url.Values) (action string, dryRun bool, err error) {
	mine, action := url.Values{}, params.Get("Action")
	for _, name := range []string{"Action", "Version", "DryRun"} {
		if values := params[name]; values != nil {
			mine[name] = values
			params.Del(name)
		}
	}
	var in struct {
		Action, Version string
		DryRun          bool
	}
	err = query.Decode(mine, &in)
	return action, in.DryRun, err
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
	if s, _ := requestScope(r); s.Presigned {
		inURL = withoutSigning(inURL)
	}
	for name, values := range inURL {
		params[name] = append(params[name], values...)
	}
	if params.Get("Action") == "" {
		return nil, fail("MissingAction", "The request must contain the parameter Action")
	}
	return params, nil
}

func (c *Cloud) logFailure(action, requestID string, e *query.Error) {
	level := c.log.Debug
	if e.Status >= http.StatusInternalServerError {
		level = c.log.Error
	}
	level("the sandbox refused a request", "action", action, "code", e.Code, "message", e.Message, "request", requestID)
}

func errorXML(service string, e *query.Error, requestID string) []byte {
	encode := query.STSError // as all services of the query protocol word it but EC2
	if service == "ec2" {
		encode = query.EC2Error
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
