package sandbox_test

import (
	"context"
	"net"
	"net/http"
	"runtime/debug"
	"sync"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
)

var closes sync.Map

type traced struct {
	net.Conn
}

func (t traced) Close() error {
	closes.LoadOrStore(t.LocalAddr().String(), string(debug.Stack()))
	return t.Conn.Close()
}

var tracedClient = func() *awshttp.BuildableClient {
	dial := func(ctx context.Context, n, a string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, n, a)
		if err != nil {
			return nil, err
		}
		return traced{c}, nil
	}
	return awshttp.NewBuildableClient().WithTransportOptions(func(tr *http.Transport) { tr.DialContext = dial })
}
