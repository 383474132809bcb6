"""The command ``nightpress``: one module for each subcommand, collected in :mod:`message_batches.command.main`."""
