package sandbox_test

import (
	"fmt"
	"os"
	"testing"
)

func TestMain(m *testing.M) {
	r := m.Run()
	if r != 0 {
		closes.Range(func(k, v any) bool { fmt.Println("CLOSE", k, v); return true })
	}
	os.Exit(r)
}
