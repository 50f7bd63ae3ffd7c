# Loaded by imgops before the spec files: serverspec acts on the machine under test, through its SSH configuration.
require 'serverspec'
require 'net/ssh'

config = ENV.fetch('TARGET_SSH_CONFIG')
# Net::SSH translates options of ssh_config that its own start then refuses, such as IdentityAgent.
options = Net::SSH::Config.for('machine', [config]).slice(*Net::SSH::VALID_OPTIONS)
options.update(config: false, verify_host_key: :always, non_interactive: true, use_agent: false)

# A spec_helper.rb may `set :ssh_options`, as serverspec-init's does; the host key is checked nevertheless.
check = options.slice(:user_known_hosts_file, :global_known_hosts_file, :verify_host_key)
Net::SSH.singleton_class.prepend(Module.new do
  define_method(:start) do |host, user = nil, given = {}, &block|
    given = given.reject { |key, _| key == :host_key_alias }.merge(check) if host == ENV['TARGET_HOST']
    super(host, user, given, &block)
  end
end)

set :backend, :ssh
set :host, ENV.fetch('TARGET_HOST')
set :ssh_options, options
set :request_pty, false

# A spec_helper.rb with `set :backend, :exec`, which is common, would make the tests judge the computer that imgops runs on.
RSpec.configure do |c|
  c.before(:suite) do
    backend = Specinfra.configuration.backend
    unless backend == :ssh
      raise "spec_helper.rb sets the backend to #{backend}: remove that line, imgops has set :backend, :ssh and :host"
    end
    host = Specinfra.configuration.host
    unless host == ENV['TARGET_HOST']
      raise "spec_helper.rb sets the host to #{host}: use ENV['TARGET_HOST']"
    end
  end
end
