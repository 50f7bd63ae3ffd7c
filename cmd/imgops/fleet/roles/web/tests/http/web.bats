#!/usr/bin/env bats

@test "the page greets" {
  run curl -sf http://localhost/
  [ "$status" -eq 0 ]
  [[ "$output" == *"Hello from imgops"* ]]
}

@test "the status names this machine, not the one that the image was made on" {
  run curl -sf http://localhost/status
  [ "$status" -eq 0 ]
  [[ "$output" == *"\"host\":\"$(hostname)\""* ]]
}

@test "no build key is left" {
  run grep -r imgops-build /home/admin/.ssh /root/.ssh
  [ "$status" -ne 0 ]
}
