package sandbox_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/stretchr/testify/require"
)

// send sends a body that no SDK would, rightly signed, and returns the status and what the answer says of the error.
func (w *world) send(service, target, body string) (status int, code, message string) {
	w.t.Helper()
	status, text := w.sendTo(service, target, body)
	return answered(w.t, status, target, text)
}

// sendRaw sends a form, and returns the answer as it is.
func (w *world) sendRaw(service, body string) (status int, text string) {
	w.t.Helper()
	return w.sendTo(service, "", body)
}

func (w *world) sendTo(service, target, body string) (status int, answer string) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.ctx, http.MethodPost, w.url, strings.NewReader(body))
	require.NoError(w.t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	if target != "" {
		r.Header.Set("Content-Type", "application/x-amz-json-1.1")
		r.Header.Set("X-Amz-Target", target)
	}
	sum := sha256.Sum256([]byte(body))
	require.NoError(w.t, v4.NewSigner().SignHTTP(w.ctx, aws.Credentials{AccessKeyID: "SANDBOX" + build, SecretAccessKey: "sandbox"}, r, hex.EncodeToString(sum[:]), service, home, time.Now()))
	resp, err := http.DefaultClient.Do(r)
	require.NoError(w.t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(w.t, err)
	require.NotContains(w.t, strings.ToLower(string(text)), "<html")
	return resp.StatusCode, string(text)
}

func answered(t testing.TB, status int, target, text string) (_ int, code, message string) {
	t.Helper()
	if target != "" {
		var answer struct {
			Type    string `json:"__type"`
			Message string `json:"message"`
		}
		require.NoError(t, json.Unmarshal([]byte(text), &answer), text)
		return status, answer.Type, answer.Message
	}
	var answer struct {
		EC2Code    string `xml:"Errors>Error>Code"`
		EC2Message string `xml:"Errors>Error>Message"`
		STSCode    string `xml:"Error>Code"`
		STSMessage string `xml:"Error>Message"`
	}
	require.NoError(t, xml.NewDecoder(strings.NewReader(text)).Decode(&answer), text)
	return status, answer.EC2Code + answer.STSCode, answer.EC2Message + answer.STSMessage
}

// What is malformed, not known or too large is told so, in the form of its service and with what is wrong.
func TestBadInput(t *testing.T) {
	w := newWorld(t)
	large := strings.Repeat("x", 1<<20)
	for _, x := range []struct {
		service, target, body string
		status                int
		code, says            string
	}{
		{"ec2", "", "Action=DescribeImages&Color=red", 400, "UnknownParameter", "Color"},
		{"ec2", "", "Action=DescribeImages&MaxResults=many", 400, "InvalidParameterValue", "MaxResults"},
		{"ec2", "", "Action=DescribeImages&Filter.1.Name=name&Filter.1.Value.x=1", 400, "UnknownParameter", "Filter.1.Value.x"},
		{"ec2", "", "Action=DescribeImages&ImageId.1=a&ImageId=b", 400, "UnknownParameter", "ImageId"},
		{"ec2", "", "Action=%zz", 400, "MalformedQueryString", "not a form"},
		{"ec2", "", "Version=2016-11-15", 400, "MissingAction", "Action"},
		{"ec2", "", "Action=BakeImage", 400, "InvalidAction", "BakeImage"},
		{"ec2", "", "Action=CreateTags&Tag.1.Value=" + large, 413, "RequestEntityTooLarge", "1048576 bytes"},
		{"sts", "", "Action=AssumeRole&Color=red&RoleArn=a&RoleSessionName=b", 400, "UnknownParameter", "Color"},
		{"sts", "", "Action=AssumeRole&RoleSessionName=b", 400, "MissingParameter", "RoleArn"},
		{"sts", "", "Action=Bake", 400, "InvalidAction", "Bake"},
		{"sns", "", "Action=Publish", 400, "InvalidAction", "sns"},
		{"ssm", "AmazonSSM.PutParameter", `{"Name": `, 400, "SerializationException", "not valid JSON"},
		{"ssm", "AmazonSSM.PutParameter", `["a"]`, 400, "SerializationException", "array"},
		{"ssm", "AmazonSSM.PutParameter", `{"Name": "/a", "Overwrite": "yes"}`, 400, "SerializationException", "Overwrite"},
		{"ssm", "AmazonSSM.PutParameter", `{"Name": "/a", "Color": "red"}`, 400, "ValidationException", "Color"},
		{"ssm", "AmazonSSM.PutParameter", `{"Value": "` + large + `"}`, 413, "RequestEntityTooLarge", "1048576 bytes"},
		{"ssm", "AmazonSSM.Bake", `{}`, 400, "UnknownOperationException", "Bake"},
		{"ssm", "Nothing", `{}`, 400, "UnknownOperationException", "Nothing"},
		{"kms", "TrentService.CreateKey", `{"Colour": 1}`, 400, "ValidationException", "Colour"},
	} {
		status, code, message := w.send(x.service, x.target, x.body)
		what := x.service + " " + x.target + " " + x.body[:min(60, len(x.body))]
		require.Equal(t, x.code, code, what)
		require.Equal(t, x.status, status, what)
		require.Contains(t, message, x.says, what)
	}

	c := w.ec2(build, home)
	_, err := c.CreateTags(w.ctx, &ec2.CreateTagsInput{Resources: []string{"ami-12345678"}, Tags: []types.Tag{{Key: aws.String("a"), Value: &large}}})
	require.Equal(t, "RequestEntityTooLarge", code(err), "as an SDK sees it")
	_, e := w.put(w.ssm(build, home), "/large", large, nil)
	require.Equal(t, "RequestEntityTooLarge", e)
	found, err := c.DescribeImages(w.ctx, &ec2.DescribeImagesInput{Owners: []string{debian}})
	require.NoError(t, err, "and the sandbox goes on")
	require.Len(t, found.Images, 1)
}
