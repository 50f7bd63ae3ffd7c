package images

import (
	"bytes"
	"fmt"
	"io"
	"net/http"

	"github.com/aws/aws-sdk-go-v2/aws"
)

// PlainBodies is an HTTP client for Clients whose requests have bodies that can be closed early. smithy-go closes a
// request's body as soon as the answer's headers are there; when the answer is so quick that net/http has not yet looked
// whether the body has an end, it takes that for a failed write and drops the connection, and the answer with it ("use of
// closed network connection"). The SDK would try again, and so repeat calls that have no client token. Requests to EC2,
// SSM and STS are small enough to be held in memory.
type PlainBodies struct{ aws.HTTPClient }

// Do sends the request.
func (c PlainBodies) Do(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, fmt.Errorf("reading the body of a request: %w", err)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	return c.HTTPClient.Do(r)
}
