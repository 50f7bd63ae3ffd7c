package query

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"net/http"
)

const (
	ec2Namespace = "http://ec2.amazonaws.com/doc/2016-11-15/"
	stsNamespace = "https://sts.amazonaws.com/doc/2011-06-15/"
)

// List is a list in an answer of EC2: an element with one <item> for each entry. An empty list is an empty element, not
// an absent one: boto3 leaves the key out of its answer when the element is absent. Use *List where EC2 leaves it out.
type List[T any] struct {
	Items []T `xml:"item"`
}

// Value wraps an attribute's value, as <description><value>...</value></description>.
type Value[T any] struct {
	Value T `xml:"value"`
}

// EC2Answer is <ActionResponse> with the request id and the fields of answer, which may be nil.
func EC2Answer(action, requestID string, answer any) ([]byte, error) {
	fields, err := inner(answer)
	if err != nil {
		return nil, fmt.Errorf("encode the answer to %s: %w", action, err)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s<%sResponse xmlns=%q><requestId>%s</requestId>", xml.Header, action, ec2Namespace, requestID)
	b.Write(fields)
	fmt.Fprintf(&b, "</%sResponse>\n", action)
	return b.Bytes(), nil
}

// STSAnswer is <ActionResponse> with <ActionResult> around the fields of answer, and the request id after it.
func STSAnswer(action, requestID string, answer any) ([]byte, error) {
	fields, err := inner(answer)
	if err != nil {
		return nil, fmt.Errorf("encode the answer to %s: %w", action, err)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "<%sResponse xmlns=%q><%sResult>%s</%sResult>", action, stsNamespace, action, fields, action)
	fmt.Fprintf(&b, "<ResponseMetadata><RequestId>%s</RequestId></ResponseMetadata></%sResponse>\n", requestID, action)
	return b.Bytes(), nil
}

// inner is the XML of the fields of a struct without the element around them, because the envelope's element depends
// on the action and holds more than the struct.
func inner(answer any) ([]byte, error) {
	if answer == nil {
		return nil, nil
	}
	var b bytes.Buffer
	if err := xml.NewEncoder(&b).EncodeElement(answer, xml.StartElement{Name: xml.Name{Local: "a"}}); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(bytes.TrimPrefix(b.Bytes(), []byte("<a>")), []byte("</a>")), nil
}

type errorBody struct {
	Type    string `xml:"Type,omitempty"`
	Code    string `xml:"Code"`
	Message string `xml:"Message"`
}

type ec2Error struct {
	XMLName   xml.Name  `xml:"Response"`
	Error     errorBody `xml:"Errors>Error"`
	RequestID string    `xml:"RequestID"`
}

type stsError struct {
	XMLName   xml.Name  `xml:"ErrorResponse"`
	Namespace string    `xml:"xmlns,attr"`
	Error     errorBody `xml:"Error"`
	RequestID string    `xml:"RequestId"`
}

// EC2Error is the body of an error of EC2.
func EC2Error(e *Error, requestID string) ([]byte, error) {
	return xml.Marshal(ec2Error{Error: errorBody{Code: e.Code, Message: e.Message}, RequestID: requestID})
}

// STSError is the body of an error of STS, which says whose fault it was.
func STSError(e *Error, requestID string) ([]byte, error) {
	fault := "Sender"
	if e.Status >= http.StatusInternalServerError {
		fault = "Receiver"
	}
	return xml.Marshal(stsError{Namespace: stsNamespace, RequestID: requestID,
		Error: errorBody{Type: fault, Code: e.Code, Message: e.Message}})
}

// AsError is err as an *Error; an error that is none becomes InternalError with status 500.
func AsError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Code: "InternalError", Message: err.Error(), Status: http.StatusInternalServerError}
}
