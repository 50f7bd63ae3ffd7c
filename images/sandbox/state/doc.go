// Package state keeps the sandbox's tables: rows in memory, guarded by one lock, with bbolt behind them.
//
// A Tx stages its writes. They reach the file first and memory second, all or none, when the function of Update returns
// nil: a handler that finds an error half-way has changed nothing, and an answer is sent only when its effect is on file.
// The file survives kill -9 of the process. It is written without fsync, so it may not survive a crash of the machine,
// which the sandbox does not promise.
//
// What a row means, and who may see it, is the business of package sandbox.
package state
