package query

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAnswers(t *testing.T) {
	type image struct {
		ID string `xml:"imageId"`
	}
	type answer struct {
		Images List[image]    `xml:"imagesSet"`
		Text   *Value[string] `xml:"description"`
	}
	b, err := EC2Answer("DescribeImages", "r-1", answer{Images: List[image]{[]image{{"ami-1"}}}, Text: &Value[string]{"<&>"}})
	require.NoError(t, err)
	require.Contains(t, string(b), `<DescribeImagesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>r-1</requestId>`+
		`<imagesSet><item><imageId>ami-1</imageId></item></imagesSet><description><value>&lt;&amp;&gt;</value></description></DescribeImagesResponse>`)

	b, err = EC2Answer("DescribeImages", "r-1", &answer{})
	require.NoError(t, err)
	require.Contains(t, string(b), "<imagesSet></imagesSet></DescribeImagesResponse>")

	b, err = STSAnswer("GetCallerIdentity", "r-2", struct{ Account string }{"111111111111"})
	require.NoError(t, err)
	require.Contains(t, string(b), "<GetCallerIdentityResult><Account>111111111111</Account></GetCallerIdentityResult>")

	b, err = EC2Error(Errorf("InvalidAction", "no %s", "Nonsense"), "r-3")
	require.NoError(t, err)
	require.Equal(t, "<Response><Errors><Error><Code>InvalidAction</Code><Message>no Nonsense</Message></Error></Errors><RequestID>r-3</RequestID></Response>", string(b))

	b, err = STSError(AsError(errors.New("disk full")), "r-4")
	require.NoError(t, err)
	require.Contains(t, string(b), "<Type>Receiver</Type><Code>InternalError</Code>")
}
